"""Converts the waiting room of a body."""

from flashguard.model import RoomMode, WaitingRoom

from .sales import WaitingRoomBody


def room_of(body: WaitingRoomBody | None) -> WaitingRoom | None:
    """Return the room that a body describes."""
    if body is None:
        return None
    return WaitingRoom(
        mode=RoomMode(body.mode),
        admit_per_second=body.admit_per_second,
        max_active=body.max_active,
        session_seconds=body.session_seconds,
        max_waiting=body.max_waiting,
        proof_of_work=body.proof_of_work,
    )
