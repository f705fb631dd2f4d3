"""`flashguard simulate`: thousands of buyers buy at the same time; shows a table of each strategy's
result."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, NamedTuple

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

from flashguard.embedded.admin_key import read_admin_key
from flashguard.embedded.run_file import find_run
from flashguard.embedded.server import log_tail
from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.settings import Mode, Settings
from flashguard.simulator.buyers import only_loopback
from flashguard.simulator.plan import (
    SELLING_POOLS,
    STRATEGIES,
    Event,
    LiveCounters,
    LogLine,
    Plan,
    RunResult,
    SimulationReport,
    with_lane,
)
from flashguard.simulator.run import run_simulation

from .output import console_for_tables
from .remote import DirOption, KeyOption, Remote, UrlOption

app = typer.Typer()

START_SECONDS: Final = 60.0
READY_SECONDS: Final = 5.0
STOP_SECONDS: Final = 15.0
LOG_LINES: Final = 8
WIDE_COLUMNS: Final = 100


@app.command()
def simulate(
    buyers: Annotated[int, typer.Option(help="Number of buyers; at most 20,000.")] = 10_000,
    stock: Annotated[int, typer.Option(help="Units in stock.")] = 100,
    strategy: Annotated[list[str] | None, typer.Option(help="A strategy, or all; repeatable.")] = None,
    lane: Annotated[
        bool,
        typer.Option("--lane", help="Run each rival behind FlashGuard's HTTP lane too, without FastAPI."),
    ] = False,
    pools: Annotated[
        bool,
        typer.Option(
            "--pools", help="Sell passes and single days from two pools: --stock, and four fifths of it."
        ),
    ] = False,
    json: Annotated[
        str | None, typer.Option(help="Where to write the report; - for standard output.")
    ] = None,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Simulate a rush. Exit code 0 only if every strategy ran and flashguard sold exactly the stock."""
    names = tuple(strategy or ["flashguard"])
    everything = SELLING_POOLS if pools else STRATEGIES
    chosen = everything if "all" in names else names
    if lane:
        chosen = with_lane(chosen)
    try:
        plan = Plan(
            buyers=buyers, stock=stock, strategies=chosen, pools=pools
        )  # checked before anything is started
        report = uvloop.run(_simulate(plan, url, admin_key, data_dir, quiet=json == "-"))
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
        if pools:
            console.print(_table_of_pools(report.runs))
    raise typer.Exit(0 if as_promised(report, chosen, pools=pools) else 1)


def as_promised(report: SimulationReport, strategies: tuple[str, ...], *, pools: bool = False) -> bool:
    """Return whether every strategy ran and flashguard, if chosen, sold exactly the stock without errors; of
    pools, no more than there is, since a buyer of a pass can't use what is left of one day."""
    if [run.strategy for run in report.runs] != list(strategies):
        return False
    return all(
        (pools or run.successful_locks == min(report.stock, report.buyers))
        and not (run.inventory_oversold or run.units_leaked or run.errors)
        for run in report.runs
        if run.strategy == "flashguard"
    )


async def _simulate(
    plan: Plan, url: str | None, admin_key: str | None, data_dir: Path | None, *, quiet: bool
) -> SimulationReport:
    async with _service(url, admin_key, data_dir) as place:
        only_loopback(place.url, operated=url is not None and admin_key is not None)
        if not place.redis_url and plan.strategies != ("flashguard",):
            raise ConfigurationError(
                "A FlashGuard elsewhere can only be asked for --strategy flashguard; for the others set "
                "FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL, in development."
            )
        plan = msgspec.structs.replace(
            plan, url=place.url, admin_key=place.admin_key, redis_url=place.redis_url,
            database_url=place.database_url,
        )  # fmt: skip
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        screen = _Screen(plan, Console(stderr=quiet))
        with screen:
            return await run_simulation(plan, screen.take, stop, embedded=place.embedded)


class _RunningService(NamedTuple):
    """Where a simulation runs. Without servers only the strategy flashguard can be asked for."""

    url: str
    admin_key: str
    redis_url: str
    database_url: str
    embedded: bool


@asynccontextmanager
async def _service(
    url: str | None, admin_key: str | None, data_dir: Path | None
) -> AsyncIterator[_RunningService]:
    """Yield the FlashGuard to simulate on: the one given, the one that runs here, or a clean one.

    Production is never simulated on unless `--url` names it: neither what the variables name, nor an `up`
    that runs in production mode.
    """
    settings = Settings()
    production = settings.mode is Mode.PRODUCTION
    given = url or (None if production or data_dir else settings.url)
    if given is not None:
        remote = Remote(given, admin_key, data_dir)
        servers = ("", "") if production else (settings.redis_url or "", settings.database_url or "")
        yield _RunningService(remote.url, remote.admin_key, *servers, embedded=False)
        return
    run = None if production else find_run(data_dir or settings.data_dir)
    if run is not None and not run.production:
        remote = Remote(run.url, admin_key, data_dir)
        yield _RunningService(run.url, remote.admin_key, run.redis_url, run.database_url, run.embedded)
        return
    with tempfile.TemporaryDirectory(prefix="flashguard-simulation-") as folder:
        if os.geteuid() == 0:
            os.chmod(folder, 0o711)  # noqa: PTH101, S103 root's PostgreSQL runs as another account
        async with _own_service(Path(folder)) as place:
            yield place


@asynccontextmanager
async def _own_service(folder: Path) -> AsyncIterator[_RunningService]:
    """Run a FlashGuard meanwhile that ignores the settings of this environment."""
    Console(stderr=True).print("No FlashGuard for simulations runs here: starting a clean one …")
    directory, log_file = folder / "data", folder / "log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "flashguard", "up", "--no-demo", "--port", "0",
            "--data-dir", str(directory), stdout=log, stderr=log, env=clean_environment(), cwd=folder,
        )  # fmt: skip
    try:
        yield await _started(process, directory, log_file)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of FlashGuard."""
    ours = {name: value for name, value in os.environ.items() if not name.upper().startswith("FLASHGUARD_")}
    return ours | {"PYTHONUNBUFFERED": "1"}


async def _started(process: Process, directory: Path, log_file: Path) -> _RunningService:
    """Return the address of the started service, once it is ready.

    Raises:
        FlashGuardError: it ended, or was not ready in time; the message ends with its last lines.
    """
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READY_SECONDS)) as http:
        while time.monotonic() < deadline and process.returncode is None:
            run = find_run(directory)
            key = read_admin_key(directory)
            if run is not None and key is not None and await _is_ready(http, run.url):
                return _RunningService(run.url, key, run.redis_url, run.database_url, run.embedded)
            await asyncio.sleep(0.1)
    ended = process.returncode
    what = f"was not ready in {START_SECONDS:g} s" if ended is None else f"ended with exit code {ended}"
    raise FlashGuardError(f"The FlashGuard of this simulation {what}. Its last lines:\n{log_tail(log_file)}")


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(f"{url}/readyz") as response:
            return response.status == 200
    return False


class _Screen:
    """Shows the four counters and the log: live on a terminal, as plain lines elsewhere."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._lines: list[Text] = []
        self._counters: LiveCounters | None = None
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
            case LiveCounters():
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
    """Return the table of strategies; with short headings it fits into 80 columns."""
    names = (
        ("Total\nRequests", "Successful\nLocks", "Inventory\nOversold", "Units\nLeaked")
        if wide
        else ("total", "locks", "over-\nsold", "leaked")
    )
    table = Table(box=box.SIMPLE_HEAD if wide else None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("strategy", vertical="bottom", no_wrap=True)
    table.add_column("behind", vertical="bottom", no_wrap=True)
    for name in (*names, "avg ms", "p50", "p99", "errors", "req/s"):
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for run in runs:
        wrong = bool(run.inventory_oversold or run.units_leaked or run.errors)
        table.add_row(
            run.strategy, run.behind, f"{run.total_requests:,}", f"{run.successful_locks:,}",
            f"{run.inventory_oversold:,}", f"{run.units_leaked:,}", f"{run.avg_latency_ms:,.0f}",
            f"{run.p50_ms:,.0f}", f"{run.p99_ms:,.0f}", f"{run.errors:,}", f"{run.requests_per_second:,.0f}",
            style="red" if wrong else "",
        )  # fmt: skip
    return table


def _table_of_pools(runs: tuple[RunResult, ...]) -> Table:
    """Return the table of what each strategy sold from each pool."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("strategy", "pool"):
        table.add_column(name, no_wrap=True)
    for name in ("stock", "sold", "oversold", "leaked"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        for pool in run.stocks:
            table.add_row(
                run.strategy, pool.name, f"{pool.stock:,}", f"{pool.sold:,}", f"{pool.oversold:,}",
                f"{pool.leaked:,}", style="red" if pool.oversold or pool.leaked else "",
            )  # fmt: skip
    return table
