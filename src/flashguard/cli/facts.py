"""`flashguard facts`: what happened, as JSON lines, from where the last run stopped."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from flashguard.errors import FlashGuardError

from .remote import TRANSIENT, ProblemAnswer, Target, with_target

app = typer.Typer()

PAGE: Final = 500
WAIT_SECONDS: Final = 25
AGAIN_SECONDS: Final = 2.0
"""Between tries of `--follow` while the service does not answer."""
MOST_CURSOR_BYTES: Final = 8_192


@app.command()
@with_target
def facts(
    after: Annotated[
        str | None,
        typer.Option(help="A cursor; `now`: only what happens from now on; default: all that is kept."),
    ] = None,
    cursor_file: Annotated[
        Path | None,
        typer.Option(help="Start after the cursor in this file, if it is there; keep the newest one in it."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new facts until interrupted.")] = False,
    *,
    target: Target,
) -> None:
    """Write the feed of facts as JSON, one fact per line. The very first read starts the feed.

    A cursor is written when the facts before it are. So a fact may come twice after a crash, but none is
    missed; its `id` is the same.
    """
    remote = target.remote()
    cursor = _kept(cursor_file) or after
    answered = False
    try:
        while True:
            query: dict[str, object] = {"limit": PAGE, "wait": WAIT_SECONDS if follow and answered else 0}
            if cursor is not None:
                query["after"] = cursor
            try:
                page = remote.call("GET", f"/v1/facts?{urlencode(query)}")
            except FlashGuardError as error:
                final = isinstance(error, ProblemAnswer) and error.status not in TRANSIENT
                if final or not (follow and answered):
                    raise
                print(f"{error} Trying again.", file=sys.stderr)
                time.sleep(AGAIN_SECONDS)
                continue
            for fact in page["data"]:
                print(json.dumps(fact, separators=(",", ":")))
            sys.stdout.flush()
            at_the_end = page["next_cursor"] == cursor
            cursor, answered = page["next_cursor"], True
            if cursor_file is not None:
                _keep(cursor_file, cursor)
            if at_the_end and not follow:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the program that read the lines has ended; what is left unwritten goes nowhere
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def _kept(file: Path | None) -> str | None:
    """Return the cursor in this file; None where there is none.

    Raises:
        FlashGuardError: it can't be read.
    """
    if file is None or not file.exists():
        return None
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MOST_CURSOR_BYTES).strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise FlashGuardError(f"{file} can't be read: {error}") from error


def _keep(file: Path, cursor: str) -> None:
    """Replace the file: a reader finds the old cursor or the new one."""
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(f"{cursor}\n", encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise FlashGuardError(f"{file} can't be written: {error}") from error
