"""A waiting room's rules, as the ledger and the kernel store them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from . import SaleId, WaitingRoom, is_sale_id, is_str
from .lottery import commitment

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(WaitingRoom).decode


def encode_room(room: WaitingRoom) -> str:
    """Return the rules as the ledger stores them: without the commitment, which follows from the seed."""
    return _encode(msgspec.structs.replace(room, commitment=None)).decode()


def decode_room(text: str) -> WaitingRoom:
    """Return the rules that the ledger stored."""
    return _decode(text)


def stored_room(text: str | None, seed: str | None) -> WaitingRoom | None:
    """Return the stored rules with the commitment to the seed; None when the sale has no waiting room."""
    if text is None or seed is None:
        return None
    return msgspec.structs.replace(_decode(text), commitment=commitment(seed))


NEITHER: Final = {"room": False, "doors": False}
"""The change of a sale's rules that ends its waiting room."""


def room_rules(room: WaitingRoom, *, opened: bool) -> dict[str, Any]:
    """Return the rules as the kernel stores them, by name: see scripts/lib/room.lua.

    Parameters:
        opened: the lottery's seed may be public, so the lottery accepts no more tickets, also after a
            rebuild.
    """
    rule = {
        "mode": room.mode,
        "rate": room.admit_per_second,
        "most": room.max_active,
        "session_ms": room.session_seconds * 1000,
        "waiting": room.max_waiting,
        "proof": room.proof_of_work,
        "opened": opened,
    }
    if room.shared:
        rule["shared"] = True
    return {"doors" if room.open_to_all else "room": rule}


def guest_rules(host: SaleId, *, opened: bool) -> dict[str, Any]:
    """Return the rules of a sale that shares the room of another one, its host, as kernel and ledger store
    them.

    Parameters:
        opened: its doors are open to all.
    """
    return {"doors" if opened else "room": {"of": host}}


def host_of(rules: Mapping[str, Any]) -> SaleId | None:
    """Return the sale whose room a sale with these rules shares; None where it shares none.

    Raises:
        ValueError: what the rule names can't be a sale, for example in a row edited by SQL.
    """
    for name in NEITHER:
        rule = rules.get(name)
        if isinstance(rule, Mapping) and "of" in rule:
            if not (is_str(rule["of"]) and is_sale_id(rule["of"])):
                raise ValueError(f"the rule {name} names no sale")
            return SaleId(rule["of"])
    return None


def without_own_room(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kernel's rules as the ledger stores them: those of a sale's own room it makes from its
    waiting room."""
    return {name: rule for name, rule in rules.items() if name not in NEITHER or "of" in rule}
