"""The optional rules of a sale: their public names, and their names in the map that the kernel reads.

A sale without optional rules has no map, so they cost it nothing. The ledger stores the same map.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct


class Rules(Struct, frozen=True, kw_only=True):
    """The optional rules of one sale; None: the sale does not have this rule."""

    max_held_per_customer: int | None = None
    """Most units in the live holds of one customer."""
    cool_down_after: int | None = None
    """Number of holds without an order after which a customer cools down; None: the kernel's default."""
    cool_down_seconds: int | None = None
    """Length of a cool-down, in which the customer gets no hold."""
    waiting_list: int | None = None
    """Most customers on the waiting list; None: no new ones (those on the list are still served)."""
    waiting_list_hold_seconds: int | None = None
    """Length of a hold made for a customer of the waiting list; None: the same as of any hold."""


NO_RULES: Final = Rules()

_NAMES: Final[dict[str, tuple[str, int]]] = {
    "max_held_per_customer": ("max_held", 1),
    "cool_down_after": ("cool_down_after", 1),
    "cool_down_seconds": ("cool_down_ms", 1000),
    "waiting_list": ("waiting_most", 1),
    "waiting_list_hold_seconds": ("waiting_hold_ms", 1000),
}
"""Public name -> the kernel's name, and the factor from public units to the kernel's."""

MAX_SPREAD: Final = 256
"""Most shards of one sale."""
_MOST: Final = {name: 2**53 for name, _ in _NAMES.values()} | {"spread": MAX_SPREAD}
"""The largest value of each rule by the kernel's name: Lua holds integers exactly up to 2**53."""


def to_kernel(rules: Rules) -> dict[str, Any]:
    """Return the kernel's map of these rules; it contains only those that are set."""
    return changes_to_kernel({name: value for name, value in fields(rules).items() if value is not None})


def changes_to_kernel(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed rules as the kernel names them; False removes a rule."""
    changed = {
        name: False if changes[public] is None else _times(changes[public], factor)
        for public, (name, factor) in _NAMES.items()
        if public in changes
    }
    if changed.get("waiting_most") is False:
        changed["waiting_most"] = 0  # admits no more customers, and still serves those on the list
    return changed


def from_kernel(kernel_map: Mapping[str, Any]) -> Rules:
    """Return the rules in a map of the kernel or of the ledger.

    Raises:
        ValueError: a rule is not a whole number in its range, for example in a row edited by SQL.
    """
    for name, most in _MOST.items():
        value = kernel_map.get(name)
        if value is not None and not (isinstance(value, int) and 0 <= value <= most):
            raise ValueError(f"the rule {name} is not a whole number from 0 to {most}")
    return Rules(**{
        public: kernel_map[name] if factor == 1 else kernel_map[name] // factor
        for public, (name, factor) in _NAMES.items()
        if kernel_map.get(name)
    })  # fmt: skip


def fields(rules: Rules) -> dict[str, Any]:
    """Return every rule by its public name, as a sale shows them."""
    return {name: getattr(rules, name) for name in rules.__struct_fields__}


def _times(value: Any, factor: int) -> Any:
    return value if factor == 1 else value * factor


def keeps_hold_history(kernel_map: Mapping[str, Any]) -> bool:
    """Return True when one of these rules needs each customer's hold history: the kernel decides the same."""
    return any(rule in kernel_map for rule in ("max_held", "cool_down_ms", "waiting_most"))
