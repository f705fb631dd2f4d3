"""The state of a simulation: what was ordered, folded with its events so far."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.ledger.simulations import StoredSimulation

from .plan import LiveCounters, LogLine, RunFinished, RunResult

MAX_LOG_LINES: Final = 1_000
MAX_POINTS: Final = 40_000
"""More than all strategies can produce in their bounded time, at ten points per second."""


class Point(Struct, frozen=True):
    """The requests and locks of 100 ms."""

    strategy: str
    at_ms: int
    requests: int
    locks: int


class RunEnded(Struct, frozen=True, kw_only=True, tag="over"):
    """The simulation has ended; its report is in the ledger, if that could be reached."""

    status: str
    detail: str | None
    finished_at: datetime


BoardEvent = LiveCounters | LogLine | RunFinished | RunEnded

encode_event = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(BoardEvent).decode


class StoredReport(Struct):
    """The part of a simulation that grows while it runs."""

    runs: list[RunResult] = []
    counters: LiveCounters | None = None
    log: list[LogLine] = []
    series: list[Point] = []


class Progress:
    """A simulation, running or ended."""

    def __init__(self, stored: StoredSimulation) -> None:
        self.id = stored.id
        self.status = stored.status
        self.detail = stored.detail
        self.finished_at = stored.finished_at
        self.place = b"0-0"
        """The newest event of the board that is included."""
        self.report = (
            msgspec.json.decode(stored.report, type=StoredReport) if stored.report else StoredReport()
        )
        self._stored = stored

    @property
    def ended(self) -> bool:
        return self.finished_at is not None

    def apply(self, event: BoardEvent, place: bytes | None = None) -> None:
        """Apply the next event; `place` is its place on the board."""
        self.place = place or self.place
        if self.status == "starting":
            self.status = "running"
        report = self.report
        match event:
            case LiveCounters():
                if len(report.series) < MAX_POINTS:
                    report.series.append(_point(report.counters, event))
                report.counters = event
            case LogLine():
                if len(report.log) < MAX_LOG_LINES:
                    report.log.append(event)
            case RunFinished(result=result):
                report.runs.append(result)
            case RunEnded():
                self.status, self.detail, self.finished_at = event.status, event.detail, event.finished_at

    def encoded_report(self) -> str:
        return msgspec.json.encode(self.report).decode()

    def view(self, *, whole: bool = True) -> dict[str, Any]:
        """Return the simulation as the API shows it; without log and series unless `whole`."""
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


def _point(before: LiveCounters | None, now: LiveCounters) -> Point:
    """Return the increase since the previous counters, so that the points add up to the totals."""
    if before is None or before.strategy != now.strategy:
        return Point(now.strategy, now.at_ms, now.total_requests, now.successful_locks)
    requests = now.total_requests - before.total_requests
    return Point(now.strategy, now.at_ms, requests, now.successful_locks - before.successful_locks)


def untagged(event: LiveCounters | LogLine) -> dict[str, Any]:
    """Return an event's members without its tag, where the context names its type."""
    members: dict[str, Any] = msgspec.to_builtins(event)
    del members["type"]
    return members
