"""The output of the command line. Text from outside is never markup and never moves the cursor."""

import contextlib
import json
import sys
import unicodedata
from typing import Any, Final, TextIO, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_COLUMNS: Final = 160
UNSEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control and format characters (including those that reverse text), surrogates, line separators."""
JOINERS: Final = ("\u200c", "\u200d")
"""Format characters that are part of words in some languages, and of emoji."""


def printable(text: str) -> str:
    """Return text from outside as one line, with control characters as escapes such as `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode()
        if each not in JOINERS and unicodedata.category(each) in UNSEEN
        else each
        for each in text
    )


def plain(text: str, style: str = "") -> Text:
    """Return text from outside for a table or a line: never markup, and printable."""
    return Text(printable(text), style=style)


class PlainTable(Table):
    """A table whose cells are text from outside."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(plain(each) if isinstance(each, str) else each for each in cells), **options)


def console_for_tables() -> Console:
    """Return the console for tables: as wide as the terminal; wide enough for whole cells without one."""
    console = Console(markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(width=PIPED_COLUMNS, markup=False, emoji=False, highlight=False)


def shown(units: int | None) -> str:
    """Return a number of units for a table; a dash where an item has no stock of its own."""
    return "-" if units is None else f"{units:,}"


def print_json(value: object) -> None:
    """Write a value as `--json` output."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def unfailing_output() -> TextIO:
    """Return standard output for a process that must continue without it.

    A full disk or a closed reader loses lines and nothing else.
    """
    return cast("TextIO", _UnfailingOutput())


class _UnfailingOutput:
    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
