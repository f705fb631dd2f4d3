"""The command line: one file per command, or group of commands."""

import logging
import re
import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from flashguard.errors import FlashGuardError
from flashguard.telemetry.logs import OneLine, in_json

from .commands import CommandsByFile

UNREADABLE: Final = re.compile(r'error parsing value for field "(\w+)"')
"""The message of pydantic-settings for a variable that should be JSON and is not."""

app = typer.Typer(
    name="flashguard",
    cls=CommandsByFile,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flashguard {version('flashguard')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """An inventory engine that never oversells and never loses an order that it confirmed."""


def main() -> None:
    """Run the command line. An error that an operator must act on is one sentence on stderr and exit code
    1."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    try:
        app()
    except FlashGuardError as error:
        _say(str(error))
        sys.exit(1)
    except (ValidationError, SettingsError) as error:
        _say("\n".join(wrong_settings(error)))
        sys.exit(1)


def _say(text: str) -> None:
    if in_json():
        logging.getLogger("flashguard").critical("%s", text)
    else:
        from rich.console import Console  # a process that serves says nothing here
        from rich.text import Text

        Console(stderr=True, soft_wrap=True, highlight=False).print(Text(text))


def wrong_settings(error: ValidationError | SettingsError) -> list[str]:
    """Return a sentence per invalid setting, with its name but never its value, which may be secret."""
    if isinstance(error, SettingsError):
        return [_wrong_setting("settings", str(error))]
    return [
        _wrong_setting(str(each["loc"][0]) if each["loc"] else "settings", _in_words(each))
        for each in error.errors()
    ]


EXAMPLES: Final = {
    "redis_url": "redis://host:6379/0, rediss://, redis+sentinel://, redis+cluster:// or unix:///path",
    "database_url": "postgresql://user:password@host:5432/database",
    "cors_origins": "https://shop.example, without a path",
}
RATE_EXAMPLE: Final = "100/10: 100 calls in 10 seconds"


def _in_words(error: ErrorDetails) -> str:
    """Return what is wrong; an example in place of a pattern."""
    if error["type"] == "string_pattern_mismatch":
        return f"write it as in {EXAMPLES.get(str(error['loc'][0]), RATE_EXAMPLE)}"
    return error["msg"].removeprefix("Value error, ")


def _wrong_setting(name: str, what: str) -> str:
    unreadable = UNREADABLE.search(what)
    if unreadable:
        name, what = unreadable[1], "must be JSON"
    return f"FLASHGUARD_{name.upper()}: {what}"
