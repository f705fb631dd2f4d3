"""The work of a buyer's calls, apart from how the request arrived: the lane and the routes both call these.

A buyer with a token acts as one customer in one sale. To this buyer, another customer's reservation does not
exist, whatever else is wrong with the request, so that asking reveals nothing.
"""

import re
from functools import partial
from typing import Final

from flashguard.api.responses.begun import Answer, Begun
from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.batches import DetailedRequest
from flashguard.api.schemas.bodies import DetailedBasket, PlainAmend, PlainBasket
from flashguard.api.schemas.views import json_response, outcome_response
from flashguard.engine.baskets import Basket
from flashguard.engine.decision import Decision
from flashguard.engine.late_confirm import read_receipt
from flashguard.engine.selling import Sell
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import (
    Admission,
    Granted,
    Key,
    KeyScope,
    Outcome,
    Refused,
    ReservationId,
    ReservationStatus,
    SaleId,
    ScopedKey,
    public_sale,
    unknown,
)

from .access import Caller, Right
from .unpaid import TO_BE_PAID, costs, is_unpaid

TOKEN_NAMES_THEM: Final = Refused(
    code=Code.FORBIDDEN, detail="identities: a buyer's token carries them; its requests can't name any."
)
NOT_THEIRS: Final = Refused(code=Code.FORBIDDEN, detail="This token is for another customer or another sale.")
DETAILED: Final = (DetailedBasket, DetailedRequest)
TICKET: Final = re.compile(r"[A-Za-z0-9_-]{16}(~[1-9][0-9]{0,2})?")
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
    guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None
) -> Encoded:
    """Return 201 with the hold, or the problem."""
    return await _sell(guard, caller, sale, body, key, buy=False)


async def buy(guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None) -> Encoded:
    """Return 201 with the order, or the problem."""
    return await _sell(guard, caller, sale, body, key, buy=True)


async def _sell(
    guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None, *, buy: bool
) -> Encoded:
    if not may_act_for(guard, caller, sale, body.customer):
        return problem(NOT_THEIRS)
    if buy and caller.pays and await costs(guard, SaleId(sale), body.items):
        return problem(TO_BE_PAID)
    basket = basket_of(guard, caller, sale, body, key, buy)
    if isinstance(basket, Refused):
        return _counted(guard, "buy" if buy else "reserve", basket)
    return await _sell_basket(guard, basket)


async def _sell_basket(guard: FlashGuard, basket: Basket) -> Encoded:
    return _sold(guard, basket, await guard.spread.sell(basket))


def begin_reserve(
    guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None
) -> Begun | None:
    """Return what `reserve` asks the kernel; None for a basket that it refuses."""
    return _begin(guard, caller, sale, basket_of(guard, caller, sale, body, key, buy=False))


def begin_buy(
    guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None
) -> Begun | None:
    """Return what `buy` asks the kernel; None for a basket that it refuses, or may refuse for its price."""
    if caller.pays:
        return None
    return _begin(guard, caller, sale, basket_of(guard, caller, sale, body, key, buy=True))


def _begin(guard: FlashGuard, caller: Caller, sale: str, basket: Basket | Refused) -> Begun | None:
    if isinstance(basket, Refused):
        return None
    if not may_act_for(guard, caller, sale, basket.customer):
        return problem(NOT_THEIRS)
    return guard.spread.prepare(basket) or partial(_sell_basket, guard, basket)


def sold(guard: FlashGuard, asked: Sell, decision: Decision) -> Answer:
    """Return 201 with the hold or the order, or the problem, by the decision on what was begun."""
    outcome = guard.spread.outcome(asked, decision)
    if outcome is None:
        return _sold_elsewhere(guard, asked, decision)
    return _sold(guard, asked.basket, outcome)


async def _sold_elsewhere(guard: FlashGuard, asked: Sell, decision: Decision) -> Encoded:
    return _sold(guard, asked.basket, await guard.spread.outcome_elsewhere(asked, decision))


async def read(guard: FlashGuard, caller: Caller, id_: str) -> Encoded:
    """Return 200 with the reservation, or the problem."""
    if caller.customer is not None and not _is_of_their_sale(caller, id_):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    found = await guard.reservation(id_)
    if not isinstance(found, Refused) and not _is_theirs(guard, caller, found.customer):
        return problem(unknown(Code.UNKNOWN_RESERVATION, id_))
    return outcome_response(found)


async def confirm(guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None) -> Encoded:
    """Return 200 with the order, or the problem."""
    refused = await refusal_of(guard, caller, id_, receipt)
    if refused is None and caller.pays and await is_unpaid(guard, id_, receipt):
        refused = problem(TO_BE_PAID)
    return refused or _counted(guard, "confirm", await guard.confirm(id_, receipt=receipt))


async def release(guard: FlashGuard, caller: Caller, id_: str) -> Encoded:
    """Return 200 with the released reservation, or the problem."""
    return await refusal_of(guard, caller, id_) or _counted(guard, "release", await guard.release(id_))


async def extend(guard: FlashGuard, caller: Caller, id_: str, key: str | None) -> Encoded:
    """Return 200 with the reservation and its new end, or the problem."""
    return await refusal_of(guard, caller, id_) or _counted(
        guard, "extend", await guard.extend(id_, key=key_of(caller, key))
    )


async def amend(
    guard: FlashGuard, caller: Caller, id_: str, body: PlainAmend, key: str | None
) -> tuple[Encoded, bool]:
    """Return 200 with the amended hold or order, or the problem; and whether it is an order. A buyer amends
    holds only."""
    refused = await refusal_of(guard, caller, id_)
    if refused:
        return refused, False
    outcome = await guard.amend(
        id_, body.items, restock=body.restock, reason=body.reason, key=key_of(caller, key),
        orders=Right.CHANGE_ORDERS.allows(caller),
    )  # fmt: skip
    is_order = isinstance(outcome, Granted) and outcome.reservation.status is ReservationStatus.CONFIRMED
    return _counted(guard, "amend", outcome), is_order


async def read_ticket(guard: FlashGuard, caller: Caller, sale: str, ticket: str) -> Encoded:
    """Return 200 with the ticket's place, or the problem."""
    refused = await ticket_refusal(guard, caller, SaleId(sale), ticket)
    if refused:
        return problem(refused)
    answer = await guard.rooms.poll(SaleId(sale), ticket)
    if isinstance(answer, Refused):
        return problem(unknown(answer.code, ticket) if answer.code is Code.UNKNOWN_TICKET else answer)
    return json_response(answer)


async def ticket_refusal(guard: FlashGuard, caller: Caller, sale: SaleId, ticket: str) -> Refused | None:
    """Return why the caller may not use this ticket; None where it may."""
    if caller.customer is not None and caller.sale != sale:
        return NOT_THEIRS
    if not TICKET.fullmatch(ticket):
        return unknown(Code.UNKNOWN_TICKET, ticket)
    if caller.customer is not None and not await guard.rooms.is_ticket_of(sale, caller.customer, ticket):
        return unknown(Code.UNKNOWN_TICKET, ticket)
    return None


def basket_of(
    guard: FlashGuard, caller: Caller, sale: str, body: PlainBasket, key: str | None, buy: bool
) -> Basket | Refused:
    until: int | Admission = 0
    if body.admission is not None:
        until = guard.rooms.admitted_until(SaleId(sale), body.customer, body.admission)
    own_key, identities = key_of(caller, key), caller.identities
    if isinstance(body, DETAILED):
        if caller.customer is not None and body.identities is not None:
            return TOKEN_NAMES_THEM
        return guard.basket(
            sale, body.customer, body.items, own_key, buy=buy, admitted_until=until,
            reference=body.reference, metadata=body.metadata, identities=identities or body.identities,
        )  # fmt: skip
    return guard.basket(
        sale, body.customer, body.items, own_key, buy=buy, admitted_until=until, identities=identities
    )


def _sold(guard: FlashGuard, basket: Basket, outcome: Outcome) -> Encoded:
    note_sold(guard, basket, outcome)
    return outcome_response(outcome, 201)


def note_sold(guard: FlashGuard, basket: Basket, outcome: Outcome) -> None:
    """Count the outcome of a basket. After a buyer who was admitted and served, the waiting room admits the
    next."""
    if basket.admitted_until and isinstance(outcome, Granted) and not outcome.replayed:
        units = sum(line.quantity for line in basket.lines)
        guard.rooms.bought(basket.sale, basket.customer, units)
    _count(guard, "buy" if basket.buy else "reserve", outcome)


def _counted(guard: FlashGuard, verb: str, outcome: Outcome, status: int = 200) -> Encoded:
    """Return the response, after counting the outcome."""
    _count(guard, verb, outcome)
    return outcome_response(outcome, status)


def _count(guard: FlashGuard, verb: str, outcome: Outcome) -> None:
    label = outcome.reservation.status if isinstance(outcome, Granted) else outcome.code
    guard.outcomes[verb, label] += 1


def _is_of_their_sale(caller: Caller, id_: str) -> bool:
    return public_sale(SaleId(id_.partition(".")[0])) == caller.sale


def _is_theirs(guard: FlashGuard, caller: Caller, customer: str) -> bool:
    """Return whether the caller may see and change what belongs to this customer, whose id may be in an old
    spelling."""
    return caller.customer is None or caller.customer in (customer, guard.customer_of(customer))


async def refusal_of(
    guard: FlashGuard, caller: Caller, id_: str, receipt: str | None = None
) -> Encoded | None:
    """Return the answer to a buyer who names another customer's reservation; None where it may be theirs.

    A hold that is transferred meanwhile counts as theirs until then: the call came before.
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
