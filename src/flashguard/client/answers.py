"""Converts the service's answers to types, and defines the exceptions of the client."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flashguard.errors import OUTCOMES, Code
from flashguard.model import (
    AmendedOrder,
    CancelledOrder,
    FactPage,
    Granted,
    Outcome,
    Refused,
    Reservation,
    Sale,
)
from flashguard.model.pools import drawn
from flashguard.waiting.place import Place

T = TypeVar("T")


class Answer(Struct, frozen=True):
    """One answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BuyerToken(Struct, frozen=True, kw_only=True):
    """A token with which a browser may act as one customer in one sale."""

    id: str
    token: str
    sale_id: str
    customer: str
    expires_at: datetime


class Page(Struct, frozen=True):
    """A page of reservations, and the cursor of the next page; None after the last."""

    data: tuple[Reservation, ...]
    next_cursor: str | None


class ClientError(Exception):
    """Base of this client's exceptions."""


class ProblemError(ClientError):
    """The service answered with a problem that no buyer caused: the caller must change something.

    Attributes:
        code: the problem's stable code; '' if the answer is not FlashGuard's.
        request_id: the answer's X-Request-Id, to find it in the service's log.
    """

    def __init__(self, status: int, code: str, detail: str, request_id: str | None, body: dict[str, Any]):
        super().__init__(f"{code or status}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.body = body


class NoAnswer(ClientError):
    """No answer within the bounds on retries. The request may have taken effect: retry with the same key.

    Attributes:
        key: the idempotency key that was sent.
    """

    def __init__(self, last: str, key: str | None) -> None:
        super().__init__(f"no answer within the bounds on retries: {last}")
        self.last = last
        self.key = key


class _ProblemBody(Struct, frozen=True):
    code: str = ""
    detail: str = ""


_problem = msgspec.json.Decoder(_ProblemBody)
_refused = msgspec.json.Decoder(Refused)
_reservation = msgspec.json.Decoder(Reservation)
_amended = msgspec.json.Decoder(AmendedOrder)
_cancelled = msgspec.json.Decoder(CancelledOrder)


def _decoded_reservation(answer: Answer) -> Reservation:
    """Return the reservation as its own kind, which the answer's fields tell."""
    if b'"cancelled_at"' in answer.body:
        return decoded(_cancelled, answer)
    if b'"cancelled_items"' in answer.body:
        return decoded(_amended, answer)
    return decoded(_reservation, answer)


def outcome(answer: Answer) -> Outcome:
    """Return Granted, or Refused for a problem of `OUTCOMES`.

    Raises:
        ProblemError: any other problem.
    """
    if answer.status < 300:
        replayed = answer.headers.get("idempotent-replayed") == "true"
        return Granted(_decoded_reservation(answer), replayed)
    return refusal(answer)


def refusal(answer: Answer) -> Refused:
    """Return the refusal of a problem of `OUTCOMES`.

    Raises:
        ProblemError: any other problem.
    """
    if code_of(answer) in OUTCOMES:
        try:
            return _refused.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass  # from a newer service, or from a proxy
    raise problem_of(answer)


class _OutcomeOfBatch(Struct, frozen=True):
    status: int
    replayed: bool = False
    reservation: Reservation | None = None
    problem: Refused | None = None


class _Outcomes(Struct, frozen=True):
    outcomes: tuple[_OutcomeOfBatch, ...]


_outcomes = msgspec.json.Decoder(_Outcomes)


def outcomes(answer: Answer) -> list[Outcome]:
    """Return the outcomes of a batch, in the order of its requests."""
    found = decoded(_outcomes, good(answer)).outcomes
    return [_outcome_of(each, answer) for each in found]


def _outcome_of(one: _OutcomeOfBatch, answer: Answer) -> Outcome:
    if one.reservation is not None:
        return Granted(one.reservation, one.replayed)
    if one.problem is None:
        raise problem_of(answer, "can't read the answer: an outcome has neither reservation nor problem")
    return one.problem


def reservation(answer: Answer) -> Reservation:
    return _decoded_reservation(good(answer))


def sale(answer: Answer) -> Sale:
    found = decoded(_sale, good(answer))
    return msgspec.structs.replace(found, items=drawn(found.items, found.pools))


def deleted(answer: Answer) -> None:
    """Return if there is no such sale any longer: 404 may be the answer to a repeated request."""
    if code_of(answer) != Code.UNKNOWN_SALE:
        good(answer)


def done(answer: Answer) -> None:
    """Return if the service did what was asked."""
    good(answer)


def buyer_token(answer: Answer) -> BuyerToken:
    return decoded(_buyer_token, good(answer))


def place(answer: Answer) -> Place:
    return decoded(_place, good(answer))


def place_or_none(answer: Answer) -> Place | None:
    """Return the place of a ticket; None where the room demands a proof of work first."""
    return None if code_of(answer) == Code.PROOF_REQUIRED else place(answer)


def page(answer: Answer) -> Page:
    return decoded(_page, good(answer))


def facts(answer: Answer) -> FactPage:
    return decoded(_facts, good(answer))


def body(answer: Answer) -> dict[str, Any]:
    return decoded(_any, good(answer))


_sale = msgspec.json.Decoder(Sale)
_buyer_token = msgspec.json.Decoder(BuyerToken)
_place = msgspec.json.Decoder(Place)
_page = msgspec.json.Decoder(Page)
_facts = msgspec.json.Decoder(FactPage)
_any = msgspec.json.Decoder(dict[str, Any])


def good(answer: Answer) -> Answer:
    """Return the answer of a call that took effect.

    Raises:
        ProblemError: any problem.
    """
    if answer.status >= 300:
        raise problem_of(answer)
    return answer


def decoded(decoder: "msgspec.json.Decoder[T]", answer: Answer) -> T:
    """Return what an answer says.

    Raises:
        ProblemError: it can't be read.
    """
    try:
        return decoder.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise problem_of(answer, f"can't read the answer: {error}") from error


def code_of(answer: Answer) -> str:
    """Return the problem's code; '' if there is none."""
    try:
        return _problem.decode(answer.body).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def problem_of(answer: Answer, detail: str = "") -> ProblemError:
    """Return the error for an unexpected answer."""
    try:
        body = _any.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = {}
    sentence = detail or str(body.get("detail") or f"HTTP {answer.status}")
    return ProblemError(
        answer.status, str(body.get("code", "")), sentence, answer.headers.get("x-request-id"), body
    )
