"""The lane: answers the hot calls without the framework's routing and dependency machinery.

Each hot call is defined once, in `hot_calls.py`: the same functions do the work, and the same code encodes
the answer. The lane takes only plain, valid requests. It hands any other (an unusual header, a body that does
not validate, a bad key) unchanged to the framework, which answers it like every other request. So the lane
has no refusals of its own and the two can't differ: a test sends every kind of request through both and
compares the bytes.
"""

import logging
from functools import partial
from time import perf_counter
from typing import Any, Final

from flashguard.api.access import ANONYMOUS, Caller
from flashguard.api.hot_calls import Match
from flashguard.api.middleware.rate_limit import customer_bucket
from flashguard.api.middleware.request_ids import HEADER, request_id
from flashguard.api.responses.begun import Begun
from flashguard.api.responses.problems import RefusedError
from flashguard.api.sale_reads import conditions_of
from flashguard.api.schemas.batches import plain_batch
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.shared import Shared
from flashguard.settings import Mode

from .hot_request import HotRequest

log = logging.getLogger("flashguard")

PLAIN_JSON: Final = (b"application/json", b"application/json; charset=utf-8")
Headers = list[tuple[bytes, bytes]]


class Lane:
    """The lane of one process, for the HTTP server and for AWS Lambda. Plans calls only while the process is
    connected."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        settings = shared.settings
        self._max_body_bytes, self._max_batch_bytes = settings.max_body_bytes, settings.max_batch_bytes
        self._callers = shared.callers
        self._cors = bool(settings.cors_origins)
        """Whether browsers' answers need headers that only the framework adds; else `Origin` does not
        matter."""
        self._anonymous = None if settings.mode is Mode.PRODUCTION else ANONYMOUS
        self._limits = shared.limits

    def most_bytes(self, match: Match) -> int:
        """Return the maximum size of a call's body."""
        return self._max_batch_bytes if match.call.read_body is plain_batch else self._max_body_bytes

    def plan(
        self, match: Match, headers: Headers, body: bytes, peer: tuple[str, int] | None = None
    ) -> HotRequest | None:
        """Begin a plain, valid hot call, and return it; None where the framework must answer.

        Parameters:
            headers: names in lower case.
            peer: address and port at the other end of the connection.
        """
        came = perf_counter()
        call, names = match
        found = dict(headers)
        if len(found) < len(headers) or b"content-encoding" in found or (self._cors and b"origin" in found):
            return None
        authorization, key = found.get(b"authorization"), found.get(b"idempotency-key")
        caller = self._anonymous if authorization is None else self._callers.identify(authorization)
        if not isinstance(caller, Caller) or not (
            call.right.for_anonymous if caller is ANONYMOUS else call.right.allows(caller)
        ):
            return None
        arguments: list[Any] = list(names)
        basket = None
        try:
            if call.read_body is None:
                if body:
                    return None
            else:
                if found.get(b"content-type") not in PLAIN_JSON:
                    return None
                basket = call.read_body(body)
                arguments.append(basket)
            if call.has_key:
                arguments.append(valid_key(None if key is None else key.decode("latin-1")))
        except (RefusedError, ValueError):
            return None
        guard = self._shared.guard
        if guard is None or (self._limits.on and isinstance(basket, list)):  # each request of a batch counts
            return None
        if call.has_conditions:
            arguments.append(conditions_of(headers))
        if call.begin is None:
            begun: Begun | None = partial(call.handle, guard, caller, *arguments)
        else:
            begun = call.begin(guard, caller, *arguments)
        if begun is None:
            return None
        buckets = None
        if self._limits.on:
            buckets = self._limits.buckets(peer[0] if peer else None, headers, caller)
            if basket is not None and not isinstance(basket, list) and caller.customer is None:
                buckets.append(customer_bucket(guard, basket.customer))
        return HotRequest(self._shared, call, guard, begun, buckets, request_id(found.get(HEADER)), came)
