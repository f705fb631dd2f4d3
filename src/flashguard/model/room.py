"""A waiting room's rules as the ledger and the kernel keep them."""

from typing import Any

import msgspec

from . import WaitingRoom
from .lottery import commitment

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(WaitingRoom).decode


def encode_room(room: WaitingRoom) -> str:
    """The rules as the ledger keeps them; the commitment follows from the seed beside them."""
    return _encode(msgspec.structs.replace(room, commitment=None)).decode()


def decode_room(text: str) -> WaitingRoom:
    return _decode(text)


def stored_room(text: str | None, seed: str | None) -> WaitingRoom | None:
    """The rules with the commitment to the seed; None when the sale has no room."""
    if text is None or seed is None:
        return None
    return msgspec.structs.replace(_decode(text), commitment=commitment(seed))


def room_rule(room: WaitingRoom, *, opened: bool) -> dict[str, Any]:
    """The rules as the kernel's config holds them: see scripts/lib/room.lua.

    Parameters:
        opened: the lottery's seed may be known: it takes no more tickets, whatever else memory forgot.
    """
    return {
        "mode": room.mode,
        "rate": room.admit_per_second,
        "most": room.max_active,
        "session_ms": room.session_seconds * 1000,
        "waiting": room.max_waiting,
        "proof": room.proof_of_work,
        "opened": opened,
    }
