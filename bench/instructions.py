"""Counts what one hot call costs the API process, without servers: bytes in, answer out.

    .venv/bin/python -m bench.instructions            CPU microseconds per call
    .venv/bin/python -m bench.instructions --count    instructions per call, which repeat to a thousandth

A batch per turn, with a call of each connection. System calls are not in it, and Valkey's answers are made
here. `--count` needs valgrind, and takes minutes.
"""

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import time
from subprocess import DEVNULL

import uvloop

from bench.offline import RESULTS, OfflineServer
from flashguard.settings import Settings

ADMIN_KEY = "fg_admin_of-this-measurement-0123456789"
CONNECTIONS = 64
COUNTS = "BENCH_COUNTS_INSTRUCTIONS"
"""In the environment of a child that runs under valgrind."""
WARM_TURNS = 3
HEAD = (
    "POST /v1/sales/drop/%s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    "Authorization: Bearer %s\r\nIdempotency-Key: order-attempt-%s\r\nContent-Length: %d\r\n\r\n"
)
BODY = '{"customer":"%s","items":[{"sku":"unit","quantity":1}]}'


def requests(call: str) -> list[bytes]:
    """Return a request for each connection, as the benchmark's load sends them."""
    noun = "orders" if call == "buy" else "reservations"
    made = []
    for number in range(CONNECTIONS):
        body = BODY % f"customer-{number:08d}"
        made.append((HEAD % (noun, ADMIN_KEY, f"{number:08d}", len(body)) + body).encode())
    return made


async def measure(call: str, turns: int) -> float:
    """Return the CPU microseconds per call: the least of the turns."""
    settings = Settings(admin_key=ADMIN_KEY, log_level="warning")  # type: ignore[arg-type]
    server, asked = OfflineServer(settings, CONNECTIONS, RESULTS[call]), requests(call)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    expected = b"HTTP/1.1 409" if call == "rejection" else b"HTTP/1.1 201"
    least = float("inf")
    for turn in range(turns):
        if turn == WARM_TURNS and COUNTS in os.environ:
            subprocess.run(["callgrind_control", "--instr=on", str(os.getpid())], check=True, stdout=DEVNULL)
        began = time.process_time()
        answers = await server.answers(asked)
        if turn:
            least = min(least, (time.process_time() - began) / CONNECTIONS * 1e6)
        assert all(answer.startswith(expected) for answer in answers), answers[0]
    return least


def counted(call: str) -> float:
    """Return the instructions per call: of a long run less those of a short one."""
    few, many = (_instructions(call, turns) for turns in (5, 25))
    return (many - few) / (20 * CONNECTIONS)


def _instructions(call: str, turns: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "bench.instructions", "--call", call, "--turns", str(turns)],
        env=os.environ | {"PYTHONHASHSEED": "0", COUNTS: "1"}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    [found] = re.findall(r"Collected : (\d+)", done.stderr)
    return int(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--call", choices=RESULTS, action="append")
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--count", action="store_true")
    given = parser.parse_args()
    calls = given.call or list(RESULTS)
    if given.count:
        figures = {call: round(counted(call)) for call in calls}
    else:
        figures = {call: round(uvloop.run(measure(call, given.turns)), 2) for call in calls}
    print(json.dumps({"unit": "instructions" if given.count else "CPU microseconds", "per_call": figures}))


if __name__ == "__main__":
    main()
