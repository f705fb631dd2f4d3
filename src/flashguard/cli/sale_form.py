"""The options that `sale create` and `sale edit` share, and what they say as fields of the API."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flashguard.errors import FlashGuardError

from .local_time import TIME_HELP, moment_of

Limit = Annotated[int | None, typer.Option(help="Units per customer.")]
MaxHeld = Annotated[int | None, typer.Option(help="Units per customer in unconfirmed holds.")]
CoolDown = Annotated[int | None, typer.Option(help="Seconds without new holds after expired ones.")]
CoolDownAfter = Annotated[int | None, typer.Option(help="Holds without an order before a cool-down (3).")]
WaitingList = Annotated[int | None, typer.Option(help="Maximum buyers who may wait for units.")]
WaitingListHold = Annotated[int | None, typer.Option(help="Seconds that an offer from the list lasts.")]
Room = Annotated[str | None, typer.Option(help="The sale whose waiting room it shares.")]
StartsAt = Annotated[str | None, typer.Option(help=f"When it opens: {TIME_HELP}")]
EndsAt = Annotated[str | None, typer.Option(help=f"When it ends: {TIME_HELP}")]


class Clearable(StrEnum):
    """What `sale edit --clear` takes from a sale, as its options are named."""

    LIMIT = "limit"
    MAX_HELD = "max-held"
    COOL_DOWN = "cool-down"
    COOL_DOWN_AFTER = "cool-down-after"
    WAITING_LIST = "waiting-list"
    WAITING_LIST_HOLD = "waiting-list-hold"
    STARTS_AT = "starts-at"
    ENDS_AT = "ends-at"


def item_of(text: str) -> dict[str, Any]:
    """Return the item that `sku:stock[:price_minor[:currency[:name]]]` describes."""
    parts = text.split(":", 4)
    try:
        sku, stock = parts[0], int(parts[1])
        price_minor = int(parts[2]) if len(parts) > 2 else 0
    except (IndexError, ValueError) as error:
        raise FlashGuardError(
            f"--item {text!r}: write sku:stock, or sku:stock:price_minor:currency:name"
        ) from error
    return {
        "sku": sku,
        "stock": stock,
        "price_minor": price_minor,
        "currency": parts[3] if len(parts) > 3 else "EUR",
        "name": parts[4] if len(parts) > 4 else sku,
    }


def object_in(file: Path, what: str) -> dict[str, Any]:
    """Return the object of a JSON file, which must be `what`."""
    try:
        body = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise FlashGuardError(f"{file}: is not readable JSON: {error}") from error
    if not isinstance(body, dict):
        raise FlashGuardError(f"{file}: must be {what}")
    return body


def rules_of(
    limit: int | None, max_held: int | None, cool_down: int | None, cool_down_after: int | None,
    waiting_list: int | None, waiting_list_hold: int | None,
) -> dict[str, int | None]:  # fmt: skip
    """Return the rules by their fields: None where an option was left out."""
    return {
        "limit_per_customer": limit,
        "max_held_per_customer": max_held,
        "cool_down_seconds": cool_down,
        "cool_down_after": cool_down_after,
        "waiting_list": waiting_list,
        "waiting_list_hold_seconds": waiting_list_hold,
    }


def times_of(starts_at: str | None, ends_at: str | None) -> dict[str, str | None]:
    """Return the times by their fields: None where an option was left out."""
    return {"starts_at": moment_of(starts_at, "--starts-at"), "ends_at": moment_of(ends_at, "--ends-at")}
