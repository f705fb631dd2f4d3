"""One finding of the doctor."""

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    """Every promise holds; something else is worse, and the finding says what."""
    FAILED = "failed"
    """A promise can't be kept."""


class Finding(Struct, frozen=True):
    """What was checked, how it went, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    todo: str = ""


def ok(name: str, found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(name, State.OK, found)


def check(name: str, holds: bool, found: str, todo: str, *, otherwise: State = State.FAILED) -> Finding:
    """Return an OK finding when it holds, else one of this state with what to do."""
    return ok(name, found) if holds else Finding(name, otherwise, found, todo)
