"""Calls to a running FlashGuard over its own HTTP contract."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, cast

import aiohttp
import typer
from rich.console import Console

from flashguard.embedded.admin_key import read_admin_key
from flashguard.embedded.run_file import find_run
from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.settings import Settings

TIMEOUT_SECONDS: Final = 60
PIPED_COLUMNS: Final = 160

UrlOption = Annotated[
    str | None, typer.Option("--url", help="A FlashGuard elsewhere; default: the one that runs here.")
]
KeyOption = Annotated[str | None, typer.Option("--admin-key", help="Its admin key.")]
DirOption = Annotated[Path | None, typer.Option("--data-dir", help="The data directory of `flashguard up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def console_for_tables() -> Console:
    """Where tables go: as wide as the terminal; wide enough to cut nothing short where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_COLUMNS)


def print_json(value: object) -> None:
    """What `--json` shows."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


IN_DETAIL: Final = 3
"""So many errors a problem's detail tells."""


class ProblemAnswer(FlashGuardError):
    """The API answered a problem."""


def _sentence(answer: dict[str, Any], status: int) -> str:
    """A problem in words; where more is wrong than its detail tells, all of it, a line each."""
    said = f"{answer.get('code', status)}: {answer.get('detail', '')}"
    errors = answer.get("errors") or []
    if len(errors) <= IN_DETAIL:
        return said
    return "\n".join([said, *(f"{each['where']}: {each['what']}" for each in errors)])


class Remote:
    """A running FlashGuard: its address and the admin key for it.

    Raises:
        ConfigurationError: none runs on the data directory and no address is given, or there is no key.
    """

    def __init__(self, url: str | None, admin_key: str | None, data_dir: Path | None) -> None:
        settings = Settings()
        directory = data_dir or settings.data_dir
        if url is None:
            run = find_run(directory)
            if run is None:
                raise ConfigurationError(
                    f"No FlashGuard runs on {directory}. Start one with `flashguard up`, or give --url."
                )
            url = run.url
        key = admin_key or (settings.admin_key.get_secret_value() if settings.admin_key else None)
        key = key or read_admin_key(directory)
        if key is None:
            raise ConfigurationError("No admin key: give --admin-key or set FLASHGUARD_ADMIN_KEY.")
        self.url = url.rstrip("/")
        self.admin_key = key

    def call(
        self, method: str, path: str, body: object = None, *, file: tuple[bytes, str] | None = None
    ) -> dict[str, Any]:
        """One call; the answer's JSON.

        Parameters:
            file: sent as it is in place of a body, with its media type.

        Raises:
            ProblemAnswer: the answer is a problem.
            FlashGuardError: nobody answered.
        """
        return asyncio.run(self._call(method, path, body, file))

    async def _call(
        self, method: str, path: str, body: object, file: tuple[bytes, str] | None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        sent: dict[str, Any] = {"json": body}
        if file is not None:
            sent = {"data": file[0], "headers": {"Content-Type": file[1]}}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
                http.request(method, f"{self.url}{path}", **sent) as response,
            ):
                if response.status == 204:
                    return {}
                answer = cast("dict[str, Any]", await response.json(content_type=None))
                if response.status >= 400:
                    raise ProblemAnswer(_sentence(answer, response.status))
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FlashGuardError(f"{self.url} does not answer: {error or type(error).__name__}") from error
