"""The optional rules of a sale: what they are called outside, and in the map that the kernel reads.

A sale without any costs nothing: its map is not there. The ledger keeps the same map.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one sale; None: it has no such rule."""

    max_held_per_customer: int | None = None
    """Units in one customer's live holds."""
    cool_down_after: int | None = None
    """Holds without an order after which a customer cools down; None: as the kernel has it."""
    cool_down_seconds: int | None = None
    """How long a customer who let that many holds go may hold nothing."""
    waiting_list: int | None = None
    """How many may wait for units to come back; None: nobody (whoever waits already is served)."""
    waiting_list_hold_seconds: int | None = None
    """How long what came back is held for who waited; None: as long as any hold."""


NO_RULES: Final = Rules()

_NAMES: Final[dict[str, tuple[str, int]]] = {
    "max_held_per_customer": ("max_held", 1),
    "cool_down_after": ("cool_down_after", 1),
    "cool_down_seconds": ("cool_down_ms", 1000),
    "waiting_list": ("waiting_most", 1),
    "waiting_list_hold_seconds": ("waiting_hold_ms", 1000),
}
"""Our name -> the kernel's, and how many of its units one of ours is."""

MAX_SPREAD: Final = 256
"""Partitions of one sale."""
_MOST: Final = {theirs: 2**53 for theirs, _ in _NAMES.values()} | {"spread": MAX_SPREAD}
"""What no rule exceeds: the largest integer that Lua holds exactly."""


def to_kernel(rules: Rules) -> dict[str, Any]:
    """The kernel's map: only what there is."""
    return changes_to_kernel({name: value for name, value in fields(rules).items() if value is not None})


def changes_to_kernel(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The rules among these changes in the kernel's terms; False ends a rule."""
    changed = {
        theirs: False if changes[ours] is None else _times(changes[ours], factor)
        for ours, (theirs, factor) in _NAMES.items()
        if ours in changes
    }
    if changed.get("waiting_most") is False:
        changed["waiting_most"] = 0  # it takes nobody more, and serves those who wait
    return changed


def from_kernel(known: Mapping[str, Any]) -> Rules:
    """The rules that a map of the kernel's, or of the ledger's, means.

    Raises:
        ValueError: a rule is no whole number in its range, as in a row that somebody changed by SQL.
    """
    for name, most in _MOST.items():
        value = known.get(name)
        if value is not None and not (isinstance(value, int) and 0 <= value <= most):
            raise ValueError(f"the rule {name} is no whole number from 0 to {most}")
    return Rules(**{
        ours: known[theirs] if factor == 1 else known[theirs] // factor
        for ours, (theirs, factor) in _NAMES.items()
        if known.get(theirs)
    })  # fmt: skip


def fields(rules: Rules) -> dict[str, Any]:
    """Every rule by its name, as a sale shows them."""
    return {name: getattr(rules, name) for name in rules.__struct_fields__}


def _times(value: Any, factor: int) -> Any:
    return value if factor == 1 else value * factor


def counts_habits(known: Mapping[str, Any]) -> bool:
    """Whether a map of rules asks to count customers' holds: as `counted` in scripts/lib/habits.lua."""
    return any(rule in known for rule in ("max_held", "cool_down_ms", "waiting_most"))
