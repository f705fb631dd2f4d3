"""Runs `flashguard prune` on finished sales of a million reservations and more, beside a sale that sells.

    .venv/bin/python -m bench.prune_command --json prune.json --svg prune.svg      # 20 minutes, 12 GB of disk
    .venv/bin/python -m bench.prune_command --rows 100000 300000

On an embedded PostgreSQL and Valkey. The command runs as an operator runs it; the largest sale's run is
ended by `kill -9` and repeated. CPU, WAL and pages are those of the command's own session: they depend least
on the rest of the machine.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from bench import ledger_fill
from bench.ledger_fill import CHUNK, COUNTERS, LIVE, PARTITIONS, RESERVATIONS, Connection, settle
from bench.long_life_prune import ENDED, group_of, spread
from bench.plot_prune import plot
from flashguard.embedded.postgres import EmbeddedPostgres
from flashguard.embedded.valkey import EmbeddedValkey
from flashguard.ledger import Ledger

ROWS = (1_000_000, 3_000_000, 10_000_000)
LIVE_ROWS = 1_000
ALONE_SECONDS = 20
GROUP_EVERY_SECONDS = 0.05
SAMPLE_SECONDS = 0.05
TURN_SECONDS = 2
LINES_BEFORE_KILL = 10
"""The command writes one for each 100,000 rows."""
LEAST_ROWS_TO_KILL = 2_000_000
BEFORE = (datetime.now(UTC) - timedelta(days=40)).isoformat()
CLOSE = (
    "UPDATE flashguard.sales SET status = 'closed', closed_at = now() - $2 * interval '1 day' WHERE id = $1"
)
LEFT = "SELECT count(*) FROM flashguard.reservations WHERE sale_id = $1"
ANY_LEFT = "SELECT EXISTS (SELECT FROM flashguard.reservations WHERE sale_id = $1)"
SIZES = """
SELECT pg_table_size('flashguard.reservations') AS table_bytes,
       pg_indexes_size('flashguard.reservations') AS index_bytes,
       (SELECT n_dead_tup FROM pg_stat_user_tables
        WHERE relid = 'flashguard.reservations'::regclass) AS dead_rows
"""
BACKENDS = """
SELECT a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds, w.wal_bytes::bigint,
       (SELECT sum(reads)::bigint FROM pg_stat_get_backend_io(a.pid) WHERE object = 'relation') AS reads,
       (SELECT sum(hits)::bigint FROM pg_stat_get_backend_io(a.pid) WHERE object = 'relation') AS hits
FROM pg_stat_activity AS a CROSS JOIN LATERAL pg_stat_get_backend_wal(a.pid) AS w
WHERE a.application_name = 'flashguard' AND a.pid <> ALL ($1::integer[])
"""
WAITS = """
SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'
"""


class Watch:
    """What the command's backend used, and how long its transactions were."""

    def __init__(self, url: str, seller: int) -> None:
        self._url = url
        self._seller = seller
        self._stopped = asyncio.Event()
        self.longest = 0.0
        self.locks_waited_for = 0
        self.used: dict[int, dict[str, float]] = {}

    async def run(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            while not self._stopped.is_set():
                for row in await connection.fetch(BACKENDS, [self._seller]):
                    self.longest = max(self.longest, row["seconds"] or 0)
                    used = self.used.setdefault(row["pid"], {"cpu_seconds": 0.0})
                    with suppress(OSError):
                        used["cpu_seconds"] = (
                            int(Path(f"/proc/{row['pid']}/schedstat").read_text().split()[0]) / 1e9
                        )
                    used |= {"wal_bytes": row["wal_bytes"], "pages": (row["reads"] or 0) + (row["hits"] or 0)}
                self.locks_waited_for += await connection.fetchval(WAITS, self._seller)
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            await connection.close()

    def stop(self) -> dict[str, float]:
        self._stopped.set()
        return {
            name: round(sum(used.get(name, 0) for used in self.used.values()), 2)
            for name in ("cpu_seconds", "wal_bytes", "pages")
        }


async def in_turn(ran: asyncio.subprocess.Process, rests: asyncio.Event) -> None:
    """Let the command run and stand still in turn: what else the machine does is then the same for both."""
    while ran.returncode is None:
        await asyncio.sleep(TURN_SECONDS)
        with suppress(ProcessLookupError):
            ran.send_signal(signal.SIGCONT if rests.is_set() else signal.SIGSTOP)
        (rests.clear if rests.is_set() else rests.set)()


async def sell(
    connection: Connection, done: asyncio.Event, salt: str, rests: asyncio.Event | None = None
) -> tuple[list[float], list[float]]:
    """Write groups of holds of the live sale at an even pace, as a recorder would; return what each took, and
    what those took that began while the command rested."""
    times: list[float] = []
    resting: list[float] = []
    due = time.perf_counter()
    while not done.is_set():
        number = len(times) + len(resting)
        text, args = await group_of(connection, LIVE, salt=f"{salt}{number:06}-")
        into = resting if rests is not None and rests.is_set() else times
        started = time.perf_counter()
        await connection.fetchrow(text, *args)
        into.append(time.perf_counter() - started)
        due = max(due + GROUP_EVERY_SECONDS, time.perf_counter())
        await asyncio.sleep(due - time.perf_counter())
    return times, resting


async def command(url: str, redis_url: str, place: Path) -> asyncio.subprocess.Process:
    env = {"FLASHGUARD_REDIS_URL": redis_url, "FLASHGUARD_DATABASE_URL": url, "PATH": os.environ["PATH"]}
    return await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("flashguard")), "prune", "--before", BEFORE, "--yes",
        env=env, cwd=place, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def killed(url: str, redis_url: str, place: Path, connection: Connection, sale: str) -> int:
    """Start the command, end it by `kill -9` after some lines of progress; return how many rows are left."""
    ran = await command(url, redis_url, place)
    assert ran.stdout is not None
    for _ in range(LINES_BEFORE_KILL):
        assert await ran.stdout.readline(), "the command ended by itself"
    ran.kill()
    await ran.wait()
    left: int = await connection.fetchval(LEFT, sale, timeout=3_600)
    return left


async def measured(
    url: str, redis_url: str, place: Path, rows: int, sale: str, *, is_killed: bool, takes_turns: bool
) -> dict[str, Any]:
    """Prune one sale by the command, while a recorder writes groups of another."""
    connection, seller = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        await connection.execute(ENDED, sale, timeout=3_600)
        await connection.execute(CLOSE, sale, 60)
        began, calm = time.time_ns(), asyncio.Event()
        alone = asyncio.create_task(sell(seller, calm, f"{began:x}a"))
        await asyncio.sleep(ALONE_SECONDS)
        calm.set()
        without, _ = await alone
        found: dict[str, Any] = {"rows": rows, "before": dict(await connection.fetchrow(SIZES) or {})}
        if is_killed:
            found["left_after_kill"] = await killed(url, redis_url, place, connection, sale)
        done = asyncio.Event()
        watch = Watch(url, seller.get_server_pid())
        watching = asyncio.create_task(watch.run())
        rests = asyncio.Event()
        beside = asyncio.create_task(sell(seller, done, f"{began:x}b", rests))
        started = time.perf_counter()
        ran = await command(url, redis_url, place)
        turns = asyncio.create_task(in_turn(ran, rests)) if takes_turns else None
        out, _ = await ran.communicate()
        seconds = time.perf_counter() - started
        if turns is not None:
            await turns
        done.set()
        used = watch.stop()
        await watching
        running, resting = await beside
        assert ran.returncode == 0, out
        assert not await connection.fetchval(ANY_LEFT, sale), "rows are left"
        gone = found.get("left_after_kill", rows)
        lines = out.decode().splitlines()
        found |= {
            "seconds": round(seconds, 1),
            "rows_per_second": round(gone / seconds),
            "cpu_seconds_per_million": round(used["cpu_seconds"] * 1e6 / gone, 2),
            "wal_bytes_per_row": round(used["wal_bytes"] / gone, 1),
            "pages_per_row": round(used["pages"] / gone, 2),
            "longest_transaction_ms": round(watch.longest * 1000, 1),
            "samples_in_which_the_seller_waited_for_a_lock": watch.locks_waited_for,
            "group_alone": spread(without),
            "group_beside": spread(running),
            **({"group_while_it_rests": spread(resting)} if resting else {}),
            "lines_of_progress": len(lines),
            "last_lines": lines[-2:],
        }
        return found
    finally:
        await connection.close()
        await seller.close()


async def grow(connection: Connection, sales: dict[str, int]) -> None:
    """Make sales with these numbers of reservations, all of which have ended."""
    for sale in sales:
        await ledger_fill.new_sale(connection, sale)
    indexes = await ledger_fill.without_indexes(connection)
    for sale, rows in sales.items():
        for first in range(1, rows + 1, CHUNK):
            last = min(rows, first + CHUNK - 1)
            await connection.execute(RESERVATIONS, sale, first, last, 0, timeout=3_600)
        print(f"{sale}: {rows:,} reservations", flush=True)
    for index in indexes:
        await connection.execute(index, timeout=3_600)
    for sale in sales:
        await connection.execute(COUNTERS, sale, timeout=3_600)
    await settle(connection)


async def run(place: Path, sizes: list[int], out: Path | None, takes_turns: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "environment": f"{platform.machine()}, {os.cpu_count()} cores",
        "prunes": [],
    }
    sales = {f"sale-{rows}": rows for rows in sizes}
    async with EmbeddedPostgres(place / "data") as postgres, EmbeddedValkey(place / "data") as valkey:
        ledger = await Ledger.connect(postgres.url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        connection = await asyncpg.connect(postgres.url, timeout=60)
        await ledger_fill.fill_fast(connection)
        await grow(connection, {LIVE: LIVE_ROWS} | sales)
        await connection.execute("ALTER SYSTEM RESET max_wal_size")
        await connection.execute("SELECT pg_reload_conf()")
        for sale, rows in sales.items():
            step = await measured(
                postgres.url, valkey.url, place, rows, sale,
                is_killed=LEAST_ROWS_TO_KILL <= rows == max(sizes) and not takes_turns,
                takes_turns=takes_turns,
            )  # fmt: skip
            began = time.perf_counter()
            await connection.execute("VACUUM flashguard.reservations", timeout=3_600)
            step["vacuum_seconds"] = round(time.perf_counter() - began, 1)
            step["after"] = dict(await connection.fetchrow(SIZES) or {})
            step["load_average"] = round(os.getloadavg()[0], 1)
            print(json.dumps(step, indent=2), flush=True)
            found["prunes"].append(step)
            if out:
                out.write_text(json.dumps(found, indent=2) + "\n")
        found["sold_again"] = await sold_again(connection, min(sizes))
        print(json.dumps(found["sold_again"]))
        if out:
            out.write_text(json.dumps(found, indent=2) + "\n")
        await connection.close()
    return found


async def sold_again(connection: Connection, rows: int) -> dict[str, Any]:
    """Sell as much as was pruned: the space is used again."""
    await ledger_fill.new_sale(connection, "again")
    before = await connection.fetchrow(SIZES)
    for first in range(1, rows + 1, CHUNK):
        last = min(rows, first + CHUNK - 1)
        await connection.execute(RESERVATIONS, "again", first, last, 0, timeout=3_600)
    return {"rows": rows, "before": dict(before or {}), "after": dict(await connection.fetchrow(SIZES) or {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--turns", action="store_true", help="stop and continue the command in turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-prune-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        found = asyncio.run(run(Path(place), sorted(given.rows), given.json, given.turns))
    if given.svg:
        given.svg.write_text(plot(found))


if __name__ == "__main__":
    main()
