"""One thing that was looked at."""

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Every promise holds; something else gets worse, and the finding says what."""
    FAILED = "failed"
    """A promise can't be kept."""


class Finding(Struct, frozen=True):
    """What was looked at, how it is, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    todo: str = ""


def ok(name: str, found: str) -> Finding:
    return Finding(name, State.OK, found)


def check(name: str, holds: bool, found: str, todo: str, *, otherwise: State = State.FAILED) -> Finding:
    """`ok` when it holds, else this state with what to do."""
    return ok(name, found) if holds else Finding(name, otherwise, found, todo)
