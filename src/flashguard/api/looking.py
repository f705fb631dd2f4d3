"""Looking at a ticket, however the call came in: a crowd does it all the time, so that both lanes can."""

import re
from typing import Final

from starlette.responses import Response

from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.model import Refused, SaleId, unknown

from .caller import Caller
from .problems import problem
from .selling import NOT_THEIRS
from .views import json_response

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
