"""What the command line writes. Nothing that comes from outside is markup, or moves the cursor."""

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
"""Control and format characters (those that turn text around are among them), surrogates, line separators."""
JOINERS: Final = ("\u200c", "\u200d")
"""Format characters that words of some languages, and emoji, are written with."""


def printable(text: str) -> str:
    """Return text from outside in one line: what a terminal would obey is shown as its escape, as `\\x1b`."""
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
    """Return where tables go: as wide as the terminal; wide enough to cut nothing short without one."""
    console = Console(markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(width=PIPED_COLUMNS, markup=False, emoji=False, highlight=False)


def print_json(value: object) -> None:
    """Write what `--json` shows."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def unfailing_output() -> TextIO:
    """Return standard output for a process that must go on without it.

    A full disk, or a reader that has gone, loses lines and nothing else.
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
