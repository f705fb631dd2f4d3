"""A simulation as it stands: what was asked for, folded with everything that happened since."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.ledger.simulations import StoredSimulation

from .plan import Counters, LogLine, RunFinished, RunResult

MAX_LOG_LINES: Final = 1_000
MAX_POINTS: Final = 20_000
"""More than nine strategies can fill in their bounded time, at ten points per second."""


class Point(Struct, frozen=True):
    """What happened in 100 ms."""

    strategy: str
    at_ms: int
    requests: int
    locks: int


class Over(Struct, frozen=True, kw_only=True, tag="over"):
    """The simulation has ended; its report is in the ledger, as far as that could be reached."""

    status: str
    detail: str | None
    finished_at: datetime


Happened = Counters | LogLine | RunFinished | Over

encode_happened = msgspec.json.Encoder().encode
decode_happened = msgspec.json.Decoder(Happened).decode


class Report(Struct):
    """The part of a simulation that grows while it runs."""

    runs: list[RunResult] = []
    counters: Counters | None = None
    log: list[LogLine] = []
    series: list[Point] = []


class Progress:
    """A simulation under way, or over."""

    def __init__(self, stored: StoredSimulation) -> None:
        self.id = stored.id
        self.status = stored.status
        self.detail = stored.detail
        self.finished_at = stored.finished_at
        self.place = b"0-0"
        """The newest event on the board that it includes."""
        self.report = msgspec.json.decode(stored.report, type=Report) if stored.report else Report()
        self._stored = stored

    @property
    def over(self) -> bool:
        return self.finished_at is not None

    def take(self, event: Happened, place: bytes | None = None) -> None:
        """Takes what happened next; `place` is that of the event on the board."""
        self.place = place or self.place
        if self.status == "starting":
            self.status = "running"
        report = self.report
        match event:
            case Counters():
                if len(report.series) < MAX_POINTS:
                    report.series.append(_point(report.counters, event))
                report.counters = event
            case LogLine():
                if len(report.log) < MAX_LOG_LINES:
                    report.log.append(event)
            case RunFinished(result=result):
                report.runs.append(result)
            case Over():
                self.status, self.detail, self.finished_at = event.status, event.detail, event.finished_at

    def encoded_report(self) -> str:
        return msgspec.json.encode(self.report).decode()

    def view(self, *, whole: bool = True) -> dict[str, Any]:
        """The simulation as the API shows it; without log and series unless `whole`."""
        stored, report = self._stored, self.report
        view: dict[str, Any] = {
            "id": self.id,
            "status": self.status,
            "environment": stored.environment,
            "buyers": stored.buyers,
            "stock": stored.stock,
            "strategies": stored.strategies,
            "created_at": stored.created_at,
            "finished_at": self.finished_at,
            "detail": self.detail,
            "runs": report.runs,
            "counters": None if report.counters is None else untagged(report.counters),
        }
        if whole:
            view |= {"log": [untagged(line) for line in report.log], "series": report.series}
        return view


def _point(before: Counters | None, now: Counters) -> Point:
    """What came since the counters before, so that the points add up to the totals."""
    if before is None or before.strategy != now.strategy:
        return Point(now.strategy, now.at_ms, now.total_requests, now.successful_locks)
    requests = now.total_requests - before.total_requests
    return Point(now.strategy, now.at_ms, requests, now.successful_locks - before.successful_locks)


def untagged(event: Counters | LogLine) -> dict[str, Any]:
    """An event's own members: its kind is told by where it stands."""
    members: dict[str, Any] = msgspec.to_builtins(event)
    del members["type"]
    return members
