"""`flashguard up`: starts everything with one command."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from flashguard.api.pages.export import find_folder
from flashguard.doctor.production import check_production
from flashguard.embedded import EmbeddedPostgres, EmbeddedValkey
from flashguard.embedded.admin_key import keep_admin_key
from flashguard.embedded.places import DirectoryLock, full_disk, identity_of, open_data_dir
from flashguard.embedded.program import Program
from flashguard.embedded.run_file import Run, remove_run, started_of, still_ends, write_run
from flashguard.embedded.server import logger
from flashguard.embedded.supervisor import STEADY_SERVER_SECONDS, Supervisor
from flashguard.errors import FlashGuardError
from flashguard.settings import Mode, Settings, reachable_host
from flashguard.telemetry.logs import in_json, json_line, set_up

from .demo import SALE_ID, DemoSaleError, open_demo_sale, things_to_try
from .migrate import migrate_ledger
from .output import printable, unfailing_output
from .port import claim_port
from .readiness import READY_POLL_SECONDS, wait_until_ready

app = typer.Typer()

FLASHGUARD: Final = (sys.executable, "-m", "flashguard")

RUN_RETRY_SECONDS: Final = 1.0
NAME_WIDTH: Final = len("flashguard")

PATIENCE_SECONDS: Final = {"api": 5.5, "deliverer": 0.5, "recorder": 2.0, "postgres": 1.5, "valkey": 0.5}
"""Seconds that each part has to end by itself, 10 s in all; the API gives its requests 5 of them."""

DEAD_API_SECONDS: Final = 60.0
"""Longest wait for the API of a killed run. It gives its requests 5 s; on a busy machine it needs longer."""
DEAD_API_NEWS_SECONDS: Final = 2.0
"""After so long the wait is told."""

DEATH_SIGNALS: Final = {"recorder": signal.SIGKILL, "deliverer": signal.SIGKILL, "api": signal.SIGTERM}
"""Signals that they get when this process dies. The API needs one with which it also stops its workers."""


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the embedded servers' data.")] = None,
    workers: Annotated[int | None, typer.Option(help="API worker processes.")] = None,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Open a demo sale (development only).")
    ] = True,
) -> None:
    """Start everything: Valkey, PostgreSQL, the recorder, the deliverer and the API. Ctrl-C stops it; the
    data stays."""
    given = {"host": host, "port": port, "data_dir": data_dir, "workers": workers}
    try:
        settings = Settings.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )
        if settings.log_format == "json":
            set_up(settings.log_level, settings.log_format)
        check_production(settings)
        asyncio.run(run(settings, demo=demo and settings.mode is Mode.DEVELOPMENT))
    except FlashGuardError as problem:
        if in_json():
            logging.getLogger("flashguard").critical("%s", problem)
        else:
            Console(stderr=True, soft_wrap=True, highlight=False).print(Text(str(problem)))
        raise typer.Exit(1) from problem


async def run(settings: Settings, *, demo: bool, flashguard: Sequence[str] = FLASHGUARD) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP.

    Raises:
        FlashGuardError: a part did not start, or failed too often in a row.
    """
    stop_at_signals()
    everything = Everything(settings, flashguard)
    try:
        await everything.start()
        await everything.greet(demo=demo)
        await everything.supervisor.failure()
    except asyncio.CancelledError:
        everything.say("flashguard", "stopping")
    finally:
        await everything.stop()


def stop_at_signals() -> None:
    """Cancel the current task at the first SIGINT, SIGTERM or SIGHUP; ignore further ones."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        if not cancelled:
            cancelled = True
            task.cancel()

    loop.add_signal_handler(signal.SIGINT, cancel)  # a shell makes its background jobs ignore it
    loop.add_signal_handler(signal.SIGTERM, cancel)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # respects nohup
        loop.add_signal_handler(signal.SIGHUP, cancel)


class Everything:
    """The parts of one installation: servers, recorder and API."""

    def __init__(self, settings: Settings, flashguard: Sequence[str]) -> None:
        self._output = unfailing_output()
        self.console = Console(soft_wrap=True, highlight=False, file=self._output)
        self.supervisor = Supervisor(self.say, self._write_run, self._full_disk)
        self.data_dir = open_data_dir(settings.data_dir)
        self._settings = settings
        self._flashguard = flashguard
        self._lock = DirectoryLock(self.data_dir / "up.lock")
        self._log_handler = _ToOutput(self)
        self._homes = [self.data_dir]
        self._claim: socket.socket | None = None
        self._rewriting: asyncio.Task[None] | None = None
        self._run: Run | None = None
        self._beside = contextlib.AsyncExitStack()
        self.url = ""
        self.stand_in_url: str | None = None
        self.admin_key = ""

    def say(self, name: str, line: str) -> None:
        """Show a line of a part after its name; with JSON logs, as JSON, or unchanged if it already is."""
        if in_json():
            logger = "flashguard" if name == "flashguard" else f"flashguard.{name}"
            self._output.write(f"{json_line(logger, line)}\n")
            self._output.flush()
            return
        self.console.print(Text.assemble((f"{name:<{NAME_WIDTH}} | ", "dim"), printable(line)))

    async def start(self) -> None:
        logger.addHandler(self._log_handler)
        logger.propagate = False
        settings = self._settings
        self.admin_key = (
            settings.admin_key.get_secret_value() if settings.admin_key else keep_admin_key(self.data_dir)
        )
        await self._wait_for_dead_api()
        chosen = settings.mode is Mode.PRODUCTION or "port" in settings.model_fields_set
        port, self._claim = claim_port(settings.host, settings.port, exactly=chosen)
        if settings.port not in (0, port):
            self.say("flashguard", f"port {settings.port} is in use; using {port}")
        self.url = f"http://{reachable_host(settings.host)}:{port}"
        redis_url = settings.redis_url or await self._start_server(EmbeddedValkey(self.data_dir))
        database_url = settings.database_url or await self._start_server(EmbeddedPostgres(self.data_dir))
        env = (
            os.environ
            | {
                "FLASHGUARD_HOST": settings.host,
                "FLASHGUARD_PORT": str(port),
                "FLASHGUARD_WORKERS": str(settings.workers),
                "FLASHGUARD_DATA_DIR": str(self.data_dir),
                "FLASHGUARD_REDIS_URL": redis_url,
                "FLASHGUARD_DATABASE_URL": database_url,
                "FLASHGUARD_ADMIN_KEY": self.admin_key,
                "FLASHGUARD_EMBEDDED": str(not settings.redis_url and not settings.database_url).lower(),
                "PYTHONUNBUFFERED": "1",
            }
            | await self._stand_in()
        )
        for name in await migrate_ledger(database_url, settings):
            self.say("migrate", f"applied {name}")
        for name, death_signal in DEATH_SIGNALS.items():
            program = Program(name, [*self._flashguard, name], env, self.say, death_signal)
            await self.supervisor.add(program, PATIENCE_SECONDS[name])
        self._run = Run(
            url=self.url,
            redis_url=redis_url,
            database_url=database_url,
            pid=os.getpid(),
            started=started_of(os.getpid()),
            data_dir_id=identity_of(self.data_dir),
            embedded=not settings.redis_url and not settings.database_url,
            production=settings.mode is Mode.PRODUCTION,
            pids={},
        )
        self._write_run()
        await self._wait_until_ready()

    async def _stand_in(self) -> dict[str, str]:
        """Return the settings of the stand-in for a payment provider; none where there is none."""
        if self._settings.mode is Mode.PRODUCTION:
            return {}
        from .stand_in import StandIn, StandInError, is_offered

        if not is_offered(self._settings):
            return {}
        try:
            stand_in = StandIn(self.data_dir)
            settings = await self._beside.enter_async_context(stand_in.serving(self.url))
        except StandInError as problem:
            self.say("flashguard", str(problem))
            return {}
        self.stand_in_url = stand_in.url
        return settings

    async def greet(self, *, demo: bool) -> None:
        """Open the demo sale, and show the addresses and what to try."""
        if demo:
            try:
                await open_demo_sale(self.url, self.admin_key)
            except DemoSaleError as problem:
                self.say("flashguard", str(problem))
                demo = False
        if in_json():
            self.say("flashguard", f"FlashGuard is ready: {self.url}")
            return
        show = self.console.print
        is_production = self._settings.mode is Mode.PRODUCTION  # there, the output is kept as a log
        key = "$FLASHGUARD_ADMIN_KEY" if is_production else self.admin_key
        show()
        show(Text.assemble("FlashGuard is ready: ", (self.url, "bold green")))
        pages = find_folder(self._settings.web_dir)
        if pages is None:
            show("Pages:               not built; install Node 20 or newer, then run `make run`")
        else:
            if demo:
                show(f"Demo storefront:     {self.url}/sale/?id={SALE_ID}")
            # A fragment stays in the browser, out of requests and logs; the page removes it from its address.
            signed_in = "" if is_production else f"#key={quote(self.admin_key, safe='')}"
            show(f"Simulator:           {self.url}/simulator/{signed_in}")
            show(f"Control room:        {self.url}/control/{signed_in}")
        if self.stand_in_url:
            show(f"Stand-in payments:   {self.stand_in_url}")
        show(Text.assemble("Admin key:           ", (key, "bold")))
        show(f"API docs:            {self.url}/docs")
        if pages and (pages / "guide" / "index.html").is_file():
            show(f"Guide:               {self.url}/guide/")
        show("\nThree things to try:")
        for what, line in things_to_try(self.url, key, demo=demo):
            show(Text.assemble((f"  # {what}\n", "dim"), f"  {line}"))
        show(f"\nCtrl-C stops it; the data stays in {self.data_dir}.\n", markup=False)

    async def stop(self) -> None:
        if self._rewriting is not None:
            self._rewriting.cancel()
        await self.supervisor.stop()
        await self._beside.aclose()
        if self._claim is not None:
            self._claim.close()
        try:
            remove_run(self.data_dir)
        except OSError as problem:
            self.say("flashguard", f"cannot remove run.json: {problem.strerror}")
        self._lock.release()
        logger.removeHandler(self._log_handler)
        logger.propagate = True

    async def _wait_for_dead_api(self) -> None:
        """Wait for the API of a killed run, which answers its open requests for some seconds on its port."""
        started, told = time.monotonic(), False
        while still_ends(self.data_dir, "api") and (waited := time.monotonic() - started) < DEAD_API_SECONDS:
            if waited > DEAD_API_NEWS_SECONDS and not told:
                told = True
                self.say("flashguard", "waiting until the API of the run before, which was killed, has ended")
            await asyncio.sleep(READY_POLL_SECONDS)

    async def _start_server(self, server: EmbeddedValkey | EmbeddedPostgres) -> str:
        await self.supervisor.add(server, PATIENCE_SECONDS[server.name], STEADY_SERVER_SECONDS)
        self._homes.append(server.home)
        return server.url

    async def _wait_until_ready(self) -> None:
        """Wait until the API reports that it is ready, or until a part is given up.

        There is no time limit while the API answers, and the reason is shown: a rebuild takes its time, and a
        partition that waits for `flashguard recover` needs the servers to run.
        """
        failure = asyncio.create_task(self.supervisor.failure())
        ready = asyncio.create_task(
            wait_until_ready(f"{self.url}/readyz", lambda why: self.say("flashguard", why))
        )
        try:
            done, _ = await asyncio.wait([failure, ready], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            failure.cancel()
            ready.cancel()

    def _full_disk(self) -> str | None:
        return full_disk(self._homes)

    def _write_run(self) -> None:
        """Write `run.json`; if that fails, for example on a full disk, retry until it succeeds."""
        if self._rewriting is not None and not self._rewriting.done():
            return
        try:
            self._try_to_write_run()
        except OSError as problem:
            self.say(
                "flashguard",
                f"cannot write run.json ({problem.strerror}); retrying every {RUN_RETRY_SECONDS:g} s",
            )
            self._rewriting = asyncio.get_running_loop().create_task(self._write_run_later())

    def _try_to_write_run(self) -> None:
        if self._run is not None:
            write_run(self.data_dir, msgspec.structs.replace(self._run, pids=self.supervisor.pids))

    async def _write_run_later(self) -> None:
        while True:
            await asyncio.sleep(RUN_RETRY_SECONDS)
            with contextlib.suppress(OSError):
                self._try_to_write_run()
                self.say("flashguard", "run.json was written")
                return


class _ToOutput(logging.Handler):
    """Shows the log of the embedded servers in the output of `up`."""

    def __init__(self, everything: Everything) -> None:
        super().__init__()
        self._everything = everything

    def emit(self, record: logging.LogRecord) -> None:
        self._everything.say("flashguard", record.getMessage())
