"""A waiting room's rules, as the ledger and the kernel store them."""

from typing import Any, Final

import msgspec

from . import WaitingRoom
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
    return {"doors" if room.open_to_all else "room": rule}
