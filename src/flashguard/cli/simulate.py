"""`flashguard simulate`: thousands of buyers press Buy at once; a table of what each strategy made of it."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import msgspec
import typer
import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flashguard.cli.remote import DirOption, KeyOption, Remote, UrlOption, console_for_tables
from flashguard.embedded.admin_key import read_admin_key
from flashguard.embedded.run_file import Run, find_run
from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.settings import Settings
from flashguard.simulator import Counters, LogLine, Plan, Report, RunResult, run_simulation
from flashguard.simulator.buyers import only_loopback
from flashguard.simulator.plan import STRATEGIES, Event

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 15.0
LOG_LINES: Final = 8
WIDE_COLUMNS: Final = 100


def simulate(
    buyers: Annotated[int, typer.Option(help="How many press Buy; at most 20,000.")] = 10_000,
    stock: Annotated[int, typer.Option(help="How many units there are.")] = 100,
    strategy: Annotated[list[str] | None, typer.Option(help="all, or names; repeatable.")] = None,
    json: Annotated[
        str | None, typer.Option(help="Where to write the report; - for standard output.")
    ] = None,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Simulate a rush. Exit code 0 only when every strategy ran and flashguard sold exactly what it had."""
    names = tuple(strategy or ["flashguard"])
    chosen = STRATEGIES if "all" in names else names
    try:
        report = uvloop.run(_simulate(buyers, stock, chosen, url, admin_key, data_dir, quiet=json == "-"))
    except (ValidationError, SettingsError):
        raise
    except ValueError as error:
        raise FlashGuardError(str(error)) from error
    if json is not None:
        text = msgspec.json.format(msgspec.json.encode(report)).decode() + "\n"
        if json == "-":
            sys.stdout.write(text)
        else:
            Path(json).write_text(text)
    if json != "-":
        console = console_for_tables()
        console.print(_table(report.runs, wide=console.width >= WIDE_COLUMNS))
    raise typer.Exit(0 if as_promised(report, chosen) else 1)


def as_promised(report: Report, strategies: tuple[str, ...]) -> bool:
    """Whether every strategy ran and flashguard, if chosen, gave exactly what there was, without an error."""
    if [run.strategy for run in report.runs] != list(strategies):
        return False
    return all(
        run.successful_locks == min(report.stock, report.buyers)
        and not (run.inventory_oversold or run.units_leaked or run.errors)
        for run in report.runs
        if run.strategy == "flashguard"
    )


async def _simulate(
    buyers: int,
    stock: int,
    strategies: tuple[str, ...],
    url: str | None,
    admin_key: str | None,
    data_dir: Path | None,
    *,
    quiet: bool,
) -> Report:
    async with _service(url, admin_key, data_dir) as (address, key, redis_url, database_url):
        only_loopback(address, operated=url is not None and admin_key is not None)
        if not redis_url and strategies != ("flashguard",):
            raise ConfigurationError(
                "A FlashGuard elsewhere can only be asked for --strategy flashguard; for the others set "
                "FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL."
            )
        plan = Plan(
            buyers=buyers, stock=stock, strategies=strategies, url=address, admin_key=key,
            redis_url=redis_url, database_url=database_url,
        )  # fmt: skip
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        screen = _Screen(plan, Console(stderr=quiet))
        embedded = not (Settings().redis_url or url)
        with screen:
            return await run_simulation(plan, screen.take, stop, embedded=embedded)


@asynccontextmanager
async def _service(
    url: str | None, admin_key: str | None, data_dir: Path | None
) -> AsyncIterator[tuple[str, str, str, str]]:
    """The running FlashGuard, or one of our own for the time of the simulation."""
    settings = Settings()
    directory = data_dir or settings.data_dir
    if url is not None:
        remote = Remote(url, admin_key, data_dir)
        yield remote.url, remote.admin_key, settings.redis_url or "", settings.database_url or ""
        return
    run = find_run(directory)
    if run is not None:
        remote = Remote(None, admin_key, data_dir)
        yield run.url, remote.admin_key, run.redis_url, run.database_url
        return
    with tempfile.TemporaryDirectory(prefix="flashguard-simulation-") as folder:
        async with _own_service(Path(folder)) as (own, key):
            yield own.url, key, own.redis_url, own.database_url


@asynccontextmanager
async def _own_service(directory: Path) -> AsyncIterator[tuple[Run, str]]:
    Console(stderr=True).print("No FlashGuard runs here: starting one for this simulation …")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flashguard", "up", "--no-demo", "--port", "0", "--data-dir", str(directory),
        stdout=asyncio.subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.returncode is None:
            run = find_run(directory)
            if run is not None and "api" in run.pids:
                with contextlib.suppress(FlashGuardError, OSError):
                    key = read_admin_key(directory)
                    if key:
                        await _until_ready(run.url, deadline)
                        yield run, key
                        return
            await asyncio.sleep(0.1)
        raise FlashGuardError("the FlashGuard of this simulation did not start")
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()


async def _until_ready(url: str, deadline: float) -> None:
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise FlashGuardError(f"{url} did not get ready")


class _Screen:
    """The four counters and the log, live on a terminal, as plain lines elsewhere."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._lines: list[Text] = []
        self._counters: Counters | None = None
        self._live = Live(console=console, refresh_per_second=10, transient=True)

    def __enter__(self) -> "_Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def take(self, event: Event) -> None:
        match event:
            case LogLine(at_ms=at_ms, text=text, level=level):
                style = {"warning": "yellow", "error": "red"}.get(level, "")
                line = Text.assemble((f"{at_ms / 1000:8.2f} s  ", "dim"), (text, style))
                if not self._console.is_terminal:
                    self._console.print(line, soft_wrap=True)
                self._lines = [*self._lines[-LOG_LINES + 1 :], line]
            case Counters():
                self._counters = event
        if self._console.is_terminal:
            self._live.update(self._picture())

    def _picture(self) -> Group:
        table = Table("Strategy", "Total Requests", "Successful Locks", "Inventory Oversold", "Avg Latency")
        if self._counters:
            c = self._counters
            table.add_row(
                c.strategy, f"{c.total_requests:,} / {self._plan.buyers:,}", f"{c.successful_locks:,}",
                f"{c.inventory_oversold:,}", f"{c.avg_latency_ms:,.1f} ms",
            )  # fmt: skip
        return Group(table, *self._lines)


def _table(runs: tuple[RunResult, ...], *, wide: bool) -> Table:
    """One row per strategy; with short headings it fits on 80 columns."""
    names = (
        ("Total\nRequests", "Successful\nLocks", "Inventory\nOversold", "Units\nLeaked")
        if wide
        else ("total", "locks", "over-\nsold", "leaked")
    )
    table = Table(box=box.SIMPLE_HEAD if wide else None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("strategy", vertical="bottom", no_wrap=True)
    for name in (*names, "avg ms", "p50", "p99", "errors", "req/s"):
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for run in runs:
        wrong = bool(run.inventory_oversold or run.units_leaked or run.errors)
        table.add_row(
            run.strategy, f"{run.total_requests:,}", f"{run.successful_locks:,}",
            f"{run.inventory_oversold:,}", f"{run.units_leaked:,}", f"{run.avg_latency_ms:,.0f}",
            f"{run.p50_ms:,.0f}", f"{run.p99_ms:,.0f}", f"{run.errors:,}", f"{run.requests_per_second:,.0f}",
            style="red" if wrong else "",
        )  # fmt: skip
    return table
