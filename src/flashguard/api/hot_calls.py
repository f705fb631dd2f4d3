"""What a buyer's calls do, apart from how they came in: both lanes call these.

A buyer with a token acts as one customer in one sale. Another's reservation is for them one that does not
exist, whatever is wrong with it otherwise, so that nobody learns anything by asking.
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

NOT_THEIRS = Refused(code=Code.FORBIDDEN, detail="This token is for another customer or another sale.")


def _lines(body: BasketBody) -> list[Line]:
    return [Line(Sku(line.sku), line.quantity) for line in body.items]


def key_of(caller: Caller, key: str | None) -> Key | None:
    """Return the key in its caller's scope: no caller can use up another's key, or learn that it was used."""
    if key is None or caller.customer is None:
        return key
    return ScopedKey(KeyScope.BUYER, (caller.customer, key))


def may_take(guard: FlashGuard, caller: Caller, sale: str, customer: str) -> bool:
    """Whether the caller may reserve and buy in this sale as this customer."""
    return caller.customer is None or (caller.sale == sale and caller.customer == guard.customer_of(customer))


def _told(guard: FlashGuard, verb: str, outcome: Outcome, status: int = 200) -> Response:
    """The answer, counted in the shop's words."""
    word = outcome.reservation.status if isinstance(outcome, Granted) else outcome.code
    guard.outcomes[verb, word.value] += 1  # an enumeration's own hash is slow
    return outcome_response(outcome, status)


def _admitted_until(guard: FlashGuard, sale: str, body: BasketBody) -> int:
    """Until when the sale's waiting room admitted the buyer; 0 where they don't show that it did."""
    if body.admission is None:
        return 0
    return guard.rooms.admitted_until(SaleId(sale), body.customer, body.admission)


def _took(guard: FlashGuard, sale: str, body: BasketBody, outcome: Outcome) -> None:
    """A buyer who was admitted and served makes room for the next."""
    if isinstance(outcome, Granted) and not outcome.replayed:
        guard.rooms.took(SaleId(sale), body.customer, sum(line.quantity for line in body.items))


async def reserve(
    guard: FlashGuard, caller: Caller, sale: str, body: BasketBody, key: str | None
) -> Response:
    """201 with the hold, or the problem."""
    if not may_take(guard, caller, sale, body.customer):
        return problem(NOT_THEIRS)
    until = _admitted_until(guard, sale, body)
    outcome = await guard.reserve(
        sale, body.customer, _lines(body), key=key_of(caller, key), admitted_until=until
    )
    if until:
        _took(guard, sale, body, outcome)
    return _told(guard, "reserve", outcome, 201)


async def buy(guard: FlashGuard, caller: Caller, sale: str, body: BasketBody, key: str | None) -> Response:
    """201 with the order, or the problem."""
    if not may_take(guard, caller, sale, body.customer):
        return problem(NOT_THEIRS)
    until = _admitted_until(guard, sale, body)
    outcome = await guard.buy(
        sale, body.customer, _lines(body), key=key_of(caller, key), admitted_until=until
    )
    if until:
        _took(guard, sale, body, outcome)
    return _told(guard, "buy", outcome, 201)


async def read(guard: FlashGuard, caller: Caller, id_: str) -> Response:
    """200 with the reservation, or the problem."""
    if caller.customer is not None and not _of_their_sale(caller, id_):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    found = await guard.reservation(id_)
    if not isinstance(found, Refused) and not _is_theirs(guard, caller, found.customer):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    return outcome_response(found)


async def confirm(guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None) -> Response:
    """200 with the order, or the problem."""
    return await _not_theirs(guard, caller, id_, receipt) or _told(
        guard, "confirm", await guard.confirm(id_, receipt=receipt)
    )


async def release(guard: FlashGuard, caller: Caller, id_: str) -> Response:
    """200 with the released reservation, or the problem."""
    return await _not_theirs(guard, caller, id_) or _told(guard, "release", await guard.release(id_))


async def extend(guard: FlashGuard, caller: Caller, id_: str, key: str | None) -> Response:
    """200 with the reservation and its new end, or the problem."""
    return await _not_theirs(guard, caller, id_) or _told(
        guard, "extend", await guard.extend(id_, key=key_of(caller, key))
    )


def _of_their_sale(caller: Caller, id_: str) -> bool:
    return public_sale(SaleId(id_.partition(".")[0])) == caller.sale


def _is_theirs(guard: FlashGuard, caller: Caller, customer: str) -> bool:
    """Whether the caller may see and change what is this customer's; old ids may be spelt otherwise."""
    return caller.customer is None or caller.customer in (customer, guard.customer_of(customer))


async def _not_theirs(
    guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None
) -> Response | None:
    """The answer to a buyer who asks for a reservation of somebody else; None where it may be theirs.

    Whose a reservation is never changes, so that to look first is as good as to look meanwhile.
    """
    if caller.customer is None:
        return None
    if not _of_their_sale(caller, id_):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    if receipt is not None:  # it may be of a hold that nobody but the buyer remembers
        shown = read_receipt(guard.signer, receipt, ReservationId(id_))
        theirs = isinstance(shown, Refused) or _is_theirs(guard, caller, shown.customer)
        return None if theirs else problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    found = await guard.reservation(id_)
    if isinstance(found, Refused):
        return problem(found)
    return (
        None if _is_theirs(guard, caller, found.customer) else problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    )


TICKET: Final = re.compile(r"[A-Za-z0-9_-]{16}")


def may_look(guard: FlashGuard, caller: Caller, sale: SaleId, ticket: str) -> Refused | None:
    """Why this is none of the caller's business; another's ticket is for a buyer one that does not exist."""
    if caller.customer is not None and caller.sale != sale:
        return NOT_THEIRS
    if not TICKET.fullmatch(ticket):
        return unknown(Code.UNKNOWN_TICKET, ticket)
    if caller.customer is not None and guard.rooms.ticket_of(sale, caller.customer) != ticket:
        return unknown(Code.UNKNOWN_TICKET, ticket)
    return None


async def look(guard: FlashGuard, caller: Caller, name: str) -> Response:
    """200 with the place, or the problem.

    Parameters:
        name: the sale's id and the ticket's, with a stroke between them.
    """
    sale, _, ticket = name.partition("/")
    refused = may_look(guard, caller, SaleId(sale), ticket)
    if refused:
        return problem(refused)
    answer = await guard.rooms.look(SaleId(sale), ticket)
    if isinstance(answer, Refused):
        return problem(unknown(answer.code, ticket) if answer.code is Code.UNKNOWN_TICKET else answer)
    return json_response(answer)
