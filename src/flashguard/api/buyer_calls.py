"""The work of a buyer's calls, apart from how the request arrived: the lane and the routes both call these.

A buyer with a token acts as one customer in one sale. To this buyer, another customer's reservation does not
exist, whatever else is wrong with the request, so that asking reveals nothing.
"""

import re
from typing import Final

from starlette.responses import Response

from flashguard.api.responses.problems import problem
from flashguard.api.schemas.bodies import BasketBody
from flashguard.api.schemas.views import json_response, outcome_response
from flashguard.engine.late_confirm import read_receipt
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import (
    Granted,
    Key,
    KeyScope,
    Line,
    Outcome,
    Refused,
    ReservationId,
    SaleId,
    ScopedKey,
    Sku,
    public_sale,
    unknown,
)

from .access import Caller

NOT_THEIRS: Final = Refused(code=Code.FORBIDDEN, detail="This token is for another customer or another sale.")
TICKET: Final = re.compile(r"[A-Za-z0-9_-]{16}")
"""A ticket's id."""


def key_of(caller: Caller, key: str | None) -> Key | None:
    """Return the key in its caller's scope: a caller can neither use up another's key nor learn that it was
    used."""
    if key is None or caller.customer is None:
        return key
    return ScopedKey(KeyScope.BUYER, (caller.customer, key))


def may_act_for(guard: FlashGuard, caller: Caller, sale: str, customer: str) -> bool:
    """Return whether the caller may reserve and buy in this sale as this customer."""
    return caller.customer is None or (caller.sale == sale and caller.customer == guard.customer_of(customer))


async def reserve(
    guard: FlashGuard, caller: Caller, sale: str, body: BasketBody, key: str | None
) -> Response:
    """Return 201 with the hold, or the problem."""
    if not may_act_for(guard, caller, sale, body.customer):
        return problem(NOT_THEIRS)
    until = admitted_until(guard, sale, body)
    outcome = await guard.reserve(
        sale, body.customer, _lines(body), key=key_of(caller, key), admitted_until=until
    )
    if until:
        _make_room(guard, sale, body, outcome)
    return _counted(guard, "reserve", outcome, 201)


async def buy(guard: FlashGuard, caller: Caller, sale: str, body: BasketBody, key: str | None) -> Response:
    """Return 201 with the order, or the problem."""
    if not may_act_for(guard, caller, sale, body.customer):
        return problem(NOT_THEIRS)
    until = admitted_until(guard, sale, body)
    outcome = await guard.buy(
        sale, body.customer, _lines(body), key=key_of(caller, key), admitted_until=until
    )
    if until:
        _make_room(guard, sale, body, outcome)
    return _counted(guard, "buy", outcome, 201)


async def read(guard: FlashGuard, caller: Caller, id_: str) -> Response:
    """Return 200 with the reservation, or the problem."""
    if caller.customer is not None and not _is_of_their_sale(caller, id_):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    found = await guard.reservation(id_)
    if not isinstance(found, Refused) and not _is_theirs(guard, caller, found.customer):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    return outcome_response(found)


async def confirm(guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None) -> Response:
    """Return 200 with the order, or the problem."""
    return await _refusal(guard, caller, id_, receipt) or _counted(
        guard, "confirm", await guard.confirm(id_, receipt=receipt)
    )


async def release(guard: FlashGuard, caller: Caller, id_: str) -> Response:
    """Return 200 with the released reservation, or the problem."""
    return await _refusal(guard, caller, id_) or _counted(guard, "release", await guard.release(id_))


async def extend(guard: FlashGuard, caller: Caller, id_: str, key: str | None) -> Response:
    """Return 200 with the reservation and its new end, or the problem."""
    return await _refusal(guard, caller, id_) or _counted(
        guard, "extend", await guard.extend(id_, key=key_of(caller, key))
    )


async def read_ticket(guard: FlashGuard, caller: Caller, sale: str, ticket: str) -> Response:
    """Return 200 with the ticket's place, or the problem."""
    refused = ticket_refusal(guard, caller, SaleId(sale), ticket)
    if refused:
        return problem(refused)
    answer = await guard.rooms.poll(SaleId(sale), ticket)
    if isinstance(answer, Refused):
        return problem(unknown(answer.code, ticket) if answer.code is Code.UNKNOWN_TICKET else answer)
    return json_response(answer)


def ticket_refusal(guard: FlashGuard, caller: Caller, sale: SaleId, ticket: str) -> Refused | None:
    """Return why the caller may not use this ticket; None where it may."""
    if caller.customer is not None and caller.sale != sale:
        return NOT_THEIRS
    if not TICKET.fullmatch(ticket):
        return unknown(Code.UNKNOWN_TICKET, ticket)
    if caller.customer is not None and guard.rooms.ticket_of(sale, caller.customer) != ticket:
        return unknown(Code.UNKNOWN_TICKET, ticket)
    return None


def admitted_until(guard: FlashGuard, sale: str, body: BasketBody) -> int:
    """Return until when the sale's waiting room admitted the buyer; 0 where the body proves no admission."""
    if body.admission is None:
        return 0
    return guard.rooms.admitted_until(SaleId(sale), body.customer, body.admission)


def _make_room(guard: FlashGuard, sale: str, body: BasketBody, outcome: Outcome) -> None:
    """Let the waiting room admit the next buyer after one who was admitted and served."""
    if isinstance(outcome, Granted) and not outcome.replayed:
        guard.rooms.bought(SaleId(sale), body.customer, sum(line.quantity for line in body.items))


def _lines(body: BasketBody) -> list[Line]:
    return [Line(Sku(line.sku), line.quantity) for line in body.items]


def _counted(guard: FlashGuard, verb: str, outcome: Outcome, status: int = 200) -> Response:
    """Return the response, after counting the outcome by its status or code."""
    label = outcome.reservation.status if isinstance(outcome, Granted) else outcome.code
    guard.outcomes[verb, label.value] += 1  # `.value`, because the hash of an enumeration is slow
    return outcome_response(outcome, status)


def _is_of_their_sale(caller: Caller, id_: str) -> bool:
    return public_sale(SaleId(id_.partition(".")[0])) == caller.sale


def _is_theirs(guard: FlashGuard, caller: Caller, customer: str) -> bool:
    """Return whether the caller may see and change what belongs to this customer, whose id may be in an old
    spelling."""
    return caller.customer is None or caller.customer in (customer, guard.customer_of(customer))


async def _refusal(
    guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None
) -> Response | None:
    """Return the answer to a buyer who names another customer's reservation; None where it may be theirs.

    A reservation never changes its customer, so checking before the change is safe.
    """
    if caller.customer is None:
        return None
    if not _is_of_their_sale(caller, id_):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    if receipt is not None:  # the hold may be lost, so that only its receipt still names the customer
        shown = read_receipt(guard.signer, receipt, ReservationId(id_))
        theirs = isinstance(shown, Refused) or _is_theirs(guard, caller, shown.customer)
        return None if theirs else problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    found = await guard.reservation(id_)
    if isinstance(found, Refused):
        return problem(found)
    return (
        None if _is_theirs(guard, caller, found.customer) else problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    )
