"""A place in a waiting room as the API shows it, and the room of a body."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from flashguard.model import RoomMode, WaitingRoom

from .sales import WaitingRoomBody


class PlaceView(BaseModel):
    id: str
    sale_id: str
    room: str = Field(
        description="The sale that has the waiting room: another one where the sale shares its room"
    )
    status: Literal["waiting", "admitted"]
    position: int | None = Field(
        description="Number of buyers admitted before this one; null before a lottery is drawn"
    )
    about: bool = Field(description="Whether the position is an estimate: a spread sale, the turn not near")
    waiting: int | None
    expected_wait_seconds: float | None = Field(
        description="Null before the drawing, and where it depends on returned units"
    )
    outlook: Literal["likely", "possible", "unlikely", "sold-out"] | None
    opens_at: datetime | None
    poll_after_seconds: float | None = Field(description="Seconds after which to poll again")
    admission: str | None = Field(description="What reserve and buy require, valid until `admitted_until`")
    admitted_until: datetime | None
    ticket: str | None = Field(
        description="The signed ticket: keep it, and send it if the ticket becomes unknown"
    )


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
        proof_tries=body.proof_tries,
        proof_harder_at=body.proof_harder_at,
        shared=body.shared,
    )
