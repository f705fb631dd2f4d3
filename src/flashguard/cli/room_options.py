"""The options of `sale create` and `sale edit` about a waiting room of the sale's own."""

import functools
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Final, get_type_hints

import typer

RoomFields = dict[str, Any]
"""The fields of a waiting room that were given, as the API names them; empty: none."""


class RoomOrder(StrEnum):
    """The order of the tickets from before the opening."""

    LOTTERY = "lottery"
    FIFO = "fifo"


OPTIONS: Final = {
    "mode": (RoomOrder, typer.Option("--room-mode", help="Waiting room: order of the first tickets.")),
    "admit_per_second": (float, typer.Option(help="Waiting room: buyers admitted per second.")),
    "max_active": (int, typer.Option(help="Waiting room: buyers who are admitted at the same time.")),
    "session_seconds": (int, typer.Option(help="Waiting room: seconds that an admission lasts.")),
    "max_waiting": (int, typer.Option(help="Waiting room: maximum buyers who wait.")),
    "proof_of_work": (bool, typer.Option(help="Waiting room: whether a ticket costs a proof of work.")),
    "proof_tries": (int, typer.Option(help="Waiting room: keys that a proof takes on average.")),
    "proof_harder_at": (int, typer.Option(help="Waiting room: waiting buyers from which proofs take more.")),
    "shared": (
        bool,
        typer.Option("--share-room", help="Waiting room: let other sales share it; that stays."),
    ),
}  # fmt: skip
PARAMETERS: Final = tuple(
    Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])
    for name, (kind, option) in OPTIONS.items()
)


def with_room(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a waiting room, whose fields it gets as its argument `waiting_room`."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        each.replace(annotation=hints[each.name], kind=Parameter.KEYWORD_ONLY)
        for each in signature(function).parameters.values()
        if each.name != "waiting_room"
    ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        fields = {name: given.pop(name) for name in OPTIONS}
        set_ = {name: value for name, value in fields.items() if value is not None}
        function(waiting_room=set_, **given)

    parameters = [*own, *PARAMETERS]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
