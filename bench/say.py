"""Progress of a benchmark: one line for each step that takes seconds."""

import sys
import time

from rich.console import Console

from bench.rows import Row


class Progress:
    """Writes lines to stderr with the time since the start; a terminal also shows the current step."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def doing(self, what: str) -> None:
        if sys.stderr.isatty():
            self.console.print(f"[dim]{self.seconds:5.0f} s  {what} …[/dim]", end="\r")

    def say(self, what: str) -> None:
        self.console.print(f"{self.seconds:5.0f} s  {what}", markup=False)

    def did(self, row: Row) -> None:
        where = f"{row.connections:,} conn." if row.connections else ""
        p99 = f"p99 {row.p99_ms:,.1f} ms" if row.p99_ms is not None else ""
        cpu = " ".join(f"{part} {spent:.0f}" for part, spent in row.cpu_us.items())
        wrong = f"  {row.errors:,} ERRORS {_wrong(row)}" if row.errors else ""
        self.say(
            f"{row.scenario:<14} {row.target:<20} {where:>12} {row.per_second:>9,.0f}/s  {p99:<16} "
            f"CPU µs: {cpu} ({row.client_share:.0%} of the machine){wrong}"
        )


def _wrong(row: Row) -> str:
    return " ".join(f"{word}:{answers:,}" for word, answers in row.answers.items())
