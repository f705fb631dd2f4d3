"""Reading a sale: answered from the process' memory where a reading is recent, encoded once per change.

The lane and the route both call these. A draft does not exist for callers without an API key.
"""

from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from flashguard.api.responses.begun import Begun
from flashguard.api.responses.encoded import Encoded, not_modified, revalidated
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


def begin_read(guard: FlashGuard, caller: Caller, sale: str, conditions: Conditions) -> Begun:
    """Return the answer from a recent reading, or the work that reads the sale first."""
    reading = None if conditions.newest else guard.shop.recent.get(SaleId(sale))
    if reading is None:
        return partial(read, guard, caller, sale, conditions)
    return _answer(reading, caller, sale, conditions)


async def read(guard: FlashGuard, caller: Caller, sale: str, conditions: Conditions) -> Encoded:
    """Return 200 with the sale, 304 where the caller has it, or the problem."""
    reading = await guard.shop.recent.read(SaleId(sale), newest=conditions.newest)
    return _answer(reading, caller, sale, conditions)


class _Shown(NamedTuple):
    """A sale as all its readers get it."""

    body: bytes
    etag: bytes


def _answer(reading: Reading, caller: Caller, sale: str, conditions: Conditions) -> Encoded:
    if reading.sale is None or (reading.sale.status is SaleStatus.DRAFT and not caller.is_shop):
        return problem(unknown_sale(sale))
    shown = reading.answer
    if not isinstance(shown, _Shown):
        body = json_response(sale_view(reading.sale)).body
        etag = b'"%s"' % blake2b(body, digest_size=ETAG_BYTES).hexdigest().encode()
        shown = reading.answer = _Shown(body, etag)
    if conditions.etags and _has(conditions.etags, shown.etag):
        return not_modified(shown.etag)
    return revalidated(shown.body, shown.etag)


def _has(etags: bytes, etag: bytes) -> bool:
    """Return whether a value of `If-None-Match` names this tag. A proxy that compresses makes tags weak."""
    if etags == etag or etags == b"*":
        return True
    return any(each.strip().removeprefix(b"W/") == etag for each in etags.split(b","))
