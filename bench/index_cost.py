"""Measures what an index of a customer's reservations costs the recorder's groups, as ratios of one run.

    .venv/bin/python -m bench.index_cost --json bench/results/index_cost.json      # three minutes

The same groups go in turn into copies of one ledger, each with another index: CPU of the session's process,
which other load delays and hardly changes, and WAL. The first copy has none of them, and so has the last one.
"""

import argparse
import asyncio
import hashlib
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from bench import ledger_fill
from bench.ledger_fill import LARGE, PARTITIONS, Connection
from flashguard.embedded.postgres import EmbeddedPostgres
from flashguard.journal import Buy, Confirm, Expire, Hold, Transition
from flashguard.ledger import Ledger
from flashguard.ledger.sql import query
from flashguard.model import CustomerId, ReservationId, SaleId
from flashguard.recorder.fold import arguments_of, groups_of

ROWS = 500_000
LIVE_HOLDS = 100_000
GROUP = 100
ROUNDS = 300
WARM_UP = 20
MADE = "CREATE INDEX reservations_of_customer ON flashguard.reservations (sale_id, status, customer)"
INDEXES = {
    "none": None,
    "orders": f"{MADE} WHERE confirmed_at IS NOT NULL",
    "orders and ended holds": f"{MADE} WHERE status <> 'held'",
    "all reservations": MADE,
    "none again": None,
}
"""The ledger has the third one."""
POSITION = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


def groups(number: int) -> dict[str, list[Transition]]:
    """Return the groups of a round: holds, half of which become orders while the others expire, and buys."""
    now, lines = int(time.time() * 1000), ["unit", 1]
    held, bought = (
        [ReservationId(hashlib.md5(f"{kind}{number}-{n}".encode()).hexdigest()[:24]) for n in range(GROUP)]
        for kind in ("hold", "buy")
    )
    buyers = [CustomerId(f"new-{random.randrange(10**7)}") for _ in range(GROUP)]
    sale, half = SaleId(LARGE), GROUP // 2
    return {
        "holds": [Hold(sale, held[n], lines, now, n, buyers[n], 600_000) for n in range(GROUP)],
        "buys": [Buy(sale, bought[n], lines, now, n, buyers[n]) for n in range(GROUP)],
        "confirms": [Confirm(sale, id_, lines, now) for id_ in held[:half]],
        "ended holds": [Expire(sale, id_, lines, now) for id_ in held[half:]],
    }


class Copy:
    """A copy of the ledger with one of the indexes, and what its groups cost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seq = 0
        self.cpu_ns: dict[str, list[int]] = {}
        self.wal_bytes: dict[str, list[int]] = {}

    async def write(self, kind: str, made: list[Transition]) -> None:
        asked = self._connection
        used = Path(f"/proc/{asked.get_server_pid()}/schedstat")
        position = await asked.fetchrow(query("position"), 0)
        assert position is not None
        self._seq += 1
        args = (0, *position, self._seq, "t", *arguments_of(groups_of(made)))
        wal, cpu = await asked.fetchval(POSITION), int(used.read_text().split()[0])
        row = await asked.fetchrow(query("record_group"), *args)
        assert row is not None
        assert row["applied"]
        self.cpu_ns.setdefault(kind, []).append(int(used.read_text().split()[0]) - cpu)
        self.wal_bytes.setdefault(kind, []).append(int(await asked.fetchval(POSITION) - wal))


async def copies_of(url: str) -> dict[str, Copy]:
    """Return the copies, of a ledger whose tables no vacuum changes meanwhile."""
    ledger = await Ledger.connect(url)
    await ledger.migrate(PARTITIONS)
    await ledger.close()
    connection = await asyncpg.connect(url)
    await ledger_fill.fill_fast(connection)
    await connection.execute("ALTER TABLE flashguard.reservations SET (autovacuum_enabled = false)")
    await connection.execute("ALTER SYSTEM SET checkpoint_timeout = '1h'")
    await connection.execute("SELECT pg_reload_conf()")
    await ledger_fill.new_sale(connection, LARGE)
    await ledger_fill.grow_sale(connection, LARGE, 0, ROWS, LIVE_HOLDS)
    await connection.execute("DROP INDEX flashguard.reservations_of_customer")
    await connection.close()
    owner = await asyncpg.connect(url.replace("/flashguard?", "/postgres?"))
    copies = {}
    for number, (name, made) in enumerate(INDEXES.items()):
        await owner.execute(f"CREATE DATABASE copy_{number} TEMPLATE flashguard")
        own = await asyncpg.connect(url.replace("/flashguard?", f"/copy_{number}?"))
        await own.execute("SET synchronous_commit = off")
        if made:
            await own.execute(made, timeout=600)
        copies[name] = Copy(own)
    await owner.execute("CHECKPOINT")
    await owner.close()
    return copies


def ratios(copies: dict[str, Copy]) -> list[dict[str, Any]]:
    base = copies["none"]

    def ratio(of: dict[str, list[int]], without: dict[str, list[int]], kind: str) -> float:
        return round(statistics.median(of[kind][WARM_UP:]) / statistics.median(without[kind][WARM_UP:]), 3)

    def costs(copy: Copy, kind: str) -> dict[str, float]:
        return {
            "cpu": ratio(copy.cpu_ns, base.cpu_ns, kind),
            "wal": ratio(copy.wal_bytes, base.wal_bytes, kind),
        }

    return [
        {"index": name} | {kind: costs(copy, kind) for kind in base.cpu_ns} for name, copy in copies.items()
    ]


async def measure(rounds: int, out: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="fg-index-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        async with EmbeddedPostgres(Path(place) / "data") as postgres:
            copies = await copies_of(postgres.url)
            for number in range(rounds):
                made = groups(number)
                for copy in random.sample(list(copies.values()), len(copies)):
                    for kind, transitions in made.items():
                        await copy.write(kind, transitions)
    text = json.dumps({"rows": ROWS, "live_holds": LIVE_HOLDS, "group": GROUP, "rounds": rounds,
                       "indexes": ratios(copies)}, indent=2)  # fmt: skip
    print(text)
    if out:
        out.write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    asyncio.run(measure(given.rounds, given.json))


if __name__ == "__main__":
    main()
