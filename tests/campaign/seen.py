"""A round whose history is written by hand, for tests of the checker."""

from dataclasses import dataclass, field

import pytest

from tests.campaign.checker import check
from tests.campaign.history import Ask, Counters, History, Ledger, Row, Told


@dataclass
class Seen:
    """A round in which one buyer bought, one held and let go, and one held and let it end."""

    history: History = field(default_factory=lambda: History("s", 2, {"a": 3}))
    rows: list[Row] = field(default_factory=list)
    items: dict[str, Counters] = field(default_factory=lambda: {"a": Counters(3, 0, 1)})
    memory: dict[str, Counters] | None = None
    restocks: list[tuple[str, str, int]] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    audit_ok: bool = True
    rebuilt_ms: int = 0
    at: float = 0.0

    def told(self, verb: str, key: str, word: str, *, about: str = "", id: str = "", http: int = 200) -> None:
        self.at += 1.0
        lines = () if about else (("a", 1),)
        ask = Ask(key, verb, "c", lines, f"s.{about}" if about else "")
        told = Told(
            ask,
            self.at,
            self.at + 0.5,
            word,
            http,
            f"s.{id}" if id else "",
            expires_in=9.0 * (word == "held"),
        )
        self.history.told.append(told)

    def row(self, id: str, status: str) -> None:
        self.rows.append(Row(id, "c", status, (("a", 1),)))

    def promises(self, *, memory_forgets: bool = False) -> set[str]:
        ledger = Ledger(
            tuple(self.rows),
            self.items,
            self.memory or self.items,
            tuple(self.restocks),
            refused=self.refused,
            audit_ok=self.audit_ok,
            rebuilt_ms=self.rebuilt_ms,
        )
        found = check(self.history, ledger, lambda key: f"id-{key}", memory_forgets=memory_forgets)
        return {violation.promise for violation in found}


@pytest.fixture
def seen() -> Seen:
    """Return the round."""
    seen = Seen()
    seen.told("buy", "b", "no-answer", http=0)
    seen.told("buy", "b", "confirmed", id="id-b", http=201)
    seen.row("id-b", "confirmed")
    seen.told("hold", "h", "held", id="id-h", http=201)
    seen.told("release", "r", "released", about="id-h")
    seen.row("id-h", "released")
    seen.told("buy", "late", "sold-out", http=409)
    return seen
