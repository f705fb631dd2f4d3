"""Reading a sale: answered from the process' memory where a reading is recent, encoded once per change.

The lane and the route both call these. A draft does not exist for callers without an API key.
"""

from hashlib import blake2b
from typing import Final, NamedTuple

from starlette.responses import Response

from flashguard.api.responses.encoded import NotModified, Revalidated
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.views import json_response, sale_view
from flashguard.guard import FlashGuard
from flashguard.model import SaleId, SaleStatus, unknown_sale
from flashguard.shop.recent import Reading

from .access import Caller

ETAG_BYTES: Final = 8


class Conditions(NamedTuple):
    """What a reader has, and what it demands.

    Attributes:
        etags: the entity tags of the answers that it has: the value of `If-None-Match`.
        newest: it demands a new reading, by `Cache-Control: no-cache`.
    """

    etags: bytes
    newest: bool


NONE: Final = Conditions(b"", False)


def conditions_of(headers: list[tuple[bytes, bytes]]) -> Conditions:
    """Return the conditions that a request's headers set."""
    etags, newest = b"", False
    for name, value in headers:
        if name == b"if-none-match":
            etags = etags + b"," + value if etags else value
        elif name == b"cache-control" and b"no-cache" in value.lower():
            newest = True
    return Conditions(etags, newest) if etags or newest else NONE


def read_at_once(guard: FlashGuard, caller: Caller, sale: str, conditions: Conditions) -> Response | None:
    """Return the answer from a recent reading; None where the sale must be read first."""
    reading = None if conditions.newest else guard.shop.recent.get(SaleId(sale))
    return None if reading is None else _answer(reading, caller, sale, conditions)


async def read(guard: FlashGuard, caller: Caller, sale: str, conditions: Conditions) -> Response:
    """Return 200 with the sale, 304 where the caller has it, or the problem."""
    reading = await guard.shop.recent.read(SaleId(sale), newest=conditions.newest)
    return _answer(reading, caller, sale, conditions)


class _Shown(NamedTuple):
    """A sale as all its readers get it."""

    body: bytes
    etag: bytes


def _answer(reading: Reading, caller: Caller, sale: str, conditions: Conditions) -> Response:
    if reading.sale is None or (reading.sale.status is SaleStatus.DRAFT and not caller.is_shop):
        return problem(unknown_sale(sale))
    shown = reading.answer
    if not isinstance(shown, _Shown):
        body = bytes(json_response(sale_view(reading.sale)).body)
        etag = b'"%s"' % blake2b(body, digest_size=ETAG_BYTES).hexdigest().encode()
        shown = reading.answer = _Shown(body, etag)
    if conditions.etags and _has(conditions.etags, shown.etag):
        return NotModified(shown.etag)
    return Revalidated(shown.body, shown.etag)


def _has(etags: bytes, etag: bytes) -> bool:
    """Return whether a value of `If-None-Match` names this tag. A proxy that compresses makes tags weak."""
    if etags == etag or etags == b"*":
        return True
    return any(each.strip().removeprefix(b"W/") == etag for each in etags.split(b","))
