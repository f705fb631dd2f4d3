"""Measures what the kernel's scripts cost the server, by the size of the batch.

    .venv/bin/python bench/scripts_cost.py
    .venv/bin/python bench/scripts_cost.py --instructions   # by valgrind: repeats almost to the digit

Nothing else runs: no API, no recorder, no PostgreSQL. To measure another checkout's scripts, set PYTHONPATH
to its `src`. The CPU includes the writes to the append-only file; instructions are without the system's.
"""

import argparse
import asyncio
import re
import secrets
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from flashguard.embedded.valkey import OPTIONS, find_valkey
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId
from flashguard.recorder.load import more_keys
from flashguard.valkey.address import Address
from flashguard.valkey.connection import ServerClient

SIZES: Final = (1, 8, 64, 256)
REQUESTS: Final = 1_024
"""Of one turn."""
KINDS: Final = ("hold", "hold, 64 sales", "confirm", "buy", "replay", "sold-out")
SALES: Final = [SaleId(f"sale-{number}") for number in range(64)]
EMPTY: Final = SaleId("empty")
STOCK: Final = 1_000_000_000
TOTALS: Final = re.compile(r"^totals: (\d+)", re.MULTILINE)


class Server:
    """A server of its own, with the options of the embedded one, and turns of requests to it."""

    def __init__(self, folder: Path, *, instructions: bool) -> None:
        self._folder = folder
        self._instructions = instructions
        self._number = 0
        options = OPTIONS | {"dir": str(folder), "unixsocket": str(folder / "socket")}
        words = [str(find_valkey())]
        words += [word for name, value in options.items() for word in (f"--{name}", value)]
        if instructions:
            words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/profile", *words]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        while not (folder / "socket").exists():
            time.sleep(0.05)
        self._client = ServerClient(Address(f"unix://{folder}/socket"), timeout_seconds=600)
        self._kernel = Kernel(self._client, max_backlog=STOCK)

    async def load(self) -> None:
        await self._kernel.load_scripts()
        await self._kernel.run(Verb.FENCE, 0, [], ["1"])
        config = ["open", 0, 0, 600_000, 600_000, 4]
        for sale in (*SALES, EMPTY):
            items = ["item:unit", f"{0 if sale == EMPTY else STOCK} 0 0"]
            page = ("first", "1", config, items, [], [], [])
            await self._kernel.run(Verb.LOAD, 0, [sale], page, more_keys=more_keys(0, sale))
        await self._kernel.run(Verb.UNFENCE, 0, [], ["1", "of the ledger", "to measure", len(SALES) + 1])

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    async def turn(self, kind: str, size: int) -> float:
        """Return the microseconds of CPU, or the instructions, of one request of this kind."""
        requests = [(0, *self._new(), kind == "buy") for _ in range(REQUESTS)]
        sales, verb = [EMPTY] if kind == "sold-out" else SALES[:1], Verb.RESERVE
        if kind in ("confirm", "replay"):
            await self._run(verb, sales, requests, 256)
        if kind == "confirm":
            verb, requests = Verb.CONFIRM, [request[:2] for request in requests]
        if kind == "hold, 64 sales":
            sales, requests = SALES, [(at % 64, *request[1:]) for at, request in enumerate(requests)]
        before = await self._cost()
        await self._run(verb, sales, requests, size)
        spent = await self._cost() - before
        await self._client.execute_command("XTRIM", keys.journal(0), "MAXLEN", 1)
        return spent / REQUESTS

    def _new(self) -> tuple[Any, ...]:
        """Return the id, fingerprint, customer and lines of a new hold."""
        self._number += 1
        customer = f"{self._number:08d}-customer"
        return f"{secrets.token_hex(8)}{self._number:08x}", secrets.randbits(48), customer, ["unit", 1]

    async def _run(self, verb: Verb, sales: list[SaleId], requests: list[Any], size: int) -> None:
        for at in range(0, REQUESTS, size):
            reply = await self._kernel.run(verb, 0, sales, requests[at : at + size])
            assert not reply.status, reply.status

    async def _cost(self) -> float:
        if not self._instructions:
            cpu = await self._kernel.info("cpu")
            return (float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])) * 1e6
        words = ["callgrind_control", "-d", str(self._process.pid)]
        await (await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL)).wait()
        return sum(float(TOTALS.findall(dump.read_text())[0]) for dump in self._folder.glob("profile.*"))


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instructions", action="store_true", help="count instructions, in one turn each")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-cost-", dir="/tmp") as folder:
        server = Server(Path(folder), instructions=given.instructions)
        try:
            await server.load()
            for kind in KINDS:
                for size in SIZES:
                    turns = [
                        await server.turn(kind, size) for _ in range(1 if given.instructions else given.turns)
                    ]
                    print(f"{kind:<17} {size:>5} {statistics.median(turns):>12,.2f}", flush=True)
        finally:
            server.end()


if __name__ == "__main__":
    asyncio.run(main())
