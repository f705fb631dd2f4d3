"""The bodies and answers of batch calls."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from pydantic import BaseModel, Field

from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import problem
from flashguard.model import MAX_KEY, Granted, Outcome, Reservation
from flashguard.spread.batch import MAX_REQUESTS

from .answers import ProblemView
from .bodies import BasketBody, PlainBasket, RequestBody
from .idempotency import valid_key
from .orders import ReservationView
from .views import json_response


class PlainRequest(PlainBasket, kw_only=True, forbid_unknown_fields=True):
    """A basket with its idempotency key."""

    key: Annotated[str, Meta(min_length=1, max_length=MAX_KEY)]


class DetailedRequest(PlainRequest, kw_only=True):
    """A request with what the shop attaches to it: see `DetailedBasket`."""

    reference: str | None
    metadata: dict[str, str] | None
    identities: dict[str, str] | None


class _PlainBatch(Struct, forbid_unknown_fields=True):
    requests: Annotated[list[PlainRequest], Meta(min_length=1, max_length=MAX_REQUESTS)]


_plain_batch: Final = msgspec.json.Decoder(_PlainBatch).decode


def plain_batch(body: bytes) -> list[PlainRequest]:
    """Return the requests of a body that are all valid, and surely have each name once.

    Raises:
        ValueError: the body is another.
    """
    requests = _plain_batch(body).requests
    colons = 1  # of names; see surely_plain
    for each in requests:
        key = valid_key(each.key)
        assert key is not None
        each.key = key
        colons += 3 + 2 * len(each.items) + (each.admission is not None)
    if body.count(b":") != colons:
        colons += sum(each.key.count(":") + each.customer.count(":") for each in requests)
        if body.count(b":") != colons or b"\\" in body:  # an escaped colon could stand for a second name
            raise ValueError("a name may stand twice")
    return requests


class BatchRequest(BasketBody):
    """A customer's request in a batch: the body of the single call, and its idempotency key."""

    key: str = Field(
        description="The request's idempotency key, as of the single call",
        min_length=1,
        max_length=MAX_KEY,
        examples=["cart-1"],
        json_schema_extra={"pattern": '^(?!""$)[!-~]([ -~]*[!-~])?$'},
    )


class BatchBody(RequestBody):
    """Independent requests of one sale. Each is checked alone."""

    requests: list[Any] = Field(
        description="Independent requests, each with its own outcome", min_length=1, max_length=MAX_REQUESTS
    )


def batch_schema() -> dict[str, Any]:
    """Return the schema of a batch's body, for the contract."""
    request = BatchRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    request.pop("$defs", None)
    request["properties"]["customer"] |= {"description": "The shop's id of the customer", "examples": ["ann"]}
    request["properties"]["items"]["description"] = "What the customer wants: all or nothing"
    body = BatchBody.model_json_schema()
    body["properties"]["requests"]["items"] = request
    return body


class BatchOutcomeView(BaseModel):
    """What became of one request: `status` and body of the single call's answer."""

    status: int = Field(description="The status that the single call would have answered")
    replayed: bool | None = Field(
        None, description="Whether it had taken effect before, under the same key; only with `reservation`"
    )
    reservation: ReservationView | None = Field(
        None, description="The hold or the order, where it is granted"
    )
    problem: ProblemView | None = Field(None, description="Why it is refused")


class BatchView(BaseModel):
    """The outcomes of a batch."""

    outcomes: list[BatchOutcomeView] = Field(description="One for each request, in their order")


class _GrantedOne(Struct):
    status: int
    replayed: bool
    reservation: Reservation


class _RefusedOne(Struct):
    status: int
    problem: msgspec.Raw


OutcomeView = _GrantedOne | _RefusedOne


def outcome_view(outcome: Outcome | Encoded) -> OutcomeView:
    """Return an outcome, or the problem of a request that could not be one, as a batch's answer has it."""
    if isinstance(outcome, Granted):
        return _GrantedOne(201, outcome.replayed, outcome.reservation)
    refused = outcome if isinstance(outcome, Encoded) else problem(outcome)
    return _RefusedOne(refused.status_code, msgspec.Raw(refused.body))


def batch_response(outcomes: list[OutcomeView]) -> Encoded:
    """Return the answer to a batch."""
    return json_response({"outcomes": outcomes})
