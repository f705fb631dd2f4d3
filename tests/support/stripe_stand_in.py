"""A stand-in for Stripe: the part of its API that we call, as documented, on 127.0.0.1.

Each parameter that it gets, and each field that it answers with, must be one of the official library's types.
"""

import asyncio
import builtins
import json
import re
import secrets
import sys
import time
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import stripe
import typing_extensions
from aiohttp import web
from stripe.checkout import Session
from stripe.params import _payment_intent_create_params as intent_params
from stripe.params import _refund_create_params as refund_params
from stripe.params.checkout import _session_create_params as session_params

from tests.support.stand_in import listening

KEY = "sk_test_of-the-stand-in"
SECRET = "whsec_of-the-stand-in"


def nested(text: str) -> dict[str, Any]:
    """A form as Stripe reads it: `line_items[0][quantity]=2`."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = re.findall(r"[^\[\]]+", name)
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return found


class _Names(dict[str, Any]):
    """The names of a module of the library; one that it imports for the type checker alone is `dict`."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, dict)


def check_params(given: Any, kind: Any) -> None:
    """Each name must be one of the library's TypedDict, at every depth."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if typing_extensions.is_typeddict(kind):
        hints = typing_extensions.get_type_hints(kind, localns=_Names(vars(sys.modules[kind.__module__])))
        for name, value in given.items():
            assert name in hints, f"{kind.__name__} has no {name}"
            check_params(value, hints[name])
    elif origin is list:
        for value in given.values():
            check_params(value, args[0])
    elif origin is dict:
        assert all(isinstance(value, str) for value in given.values())
    elif isinstance(given, dict):
        inner = [each for each in args if typing_extensions.is_typeddict(each) or typing.get_origin(each)]
        assert inner, f"{kind} takes no fields"
        errors = []
        for each in inner:
            try:
                check_params(given, each)
                return
            except AssertionError as error:
                errors.append(error)
        raise AssertionError(errors)


def checked(kind: type, **fields: Any) -> dict[str, Any]:
    """An object whose every field the library's class has."""
    names = {name for each in kind.__mro__ for name in getattr(each, "__annotations__", {})}
    assert set(fields) <= names, set(fields) - names
    return fields


def check_amount(text: str, currency: str) -> None:
    """The special cases of https://docs.stripe.com/currencies."""
    assert text.isdecimal(), text
    assert 0 < int(text) <= 99_999_999
    assert currency == currency.lower()
    assert currency not in ("isk", "ugx") or text.endswith("00"), "whole units only"
    assert currency not in ("bhd", "jod", "kwd", "omr", "tnd") or text.endswith("0"), "two decimals only"


class StripeStandIn:
    """Takes no money. `plan`: what the next calls of a path do: "away", "lose", "slow", "pending", as in
    `stand_in`; "cut" (it is done, half of the answer is lost), "forget" (it is done, the answer is lost and
    its idempotency key forgotten, as a day later), "key" (401, the key is refused)."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, tuple[str, dict[str, Any]]] = {}
        self.plan: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.port = 0

    def settings(self) -> dict[str, str]:
        return {
            "FLASHGUARD_PAYMENT_PROVIDERS": '["stripe"]',
            "FLASHGUARD_STRIPE_KEY": KEY,
            "FLASHGUARD_STRIPE_WEBHOOK_SECRET": SECRET,
            "FLASHGUARD_STRIPE_URL": f"http://127.0.0.1:{self.port}",
        }

    def pay(
        self, session: str, *, later: str | None = None, minor: int | None = None, currency: str | None = None
    ) -> dict[str, Any]:
        """The buyer pays on Stripe's page, or with the shop's form; return the event to send.

        Parameters:
            later: the status of the money that comes days later: `processing`, `requires_action` (a voucher).
            minor, currency: what is paid, if not what was asked, as with a discount or another price.
        """
        if session.startswith("pi_"):
            intent = self.intents[session]
            assert intent["status"] == "requires_payment_method", intent
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            return self.event("payment_intent.succeeded", intent)
        found = self.sessions[session]
        assert found["status"] == "open", found
        found["amount_total"] = found["amount_total"] if minor is None else minor
        found["currency"] = currency or found["currency"]
        intent = self._intent(found["amount_total"], found["currency"], {})
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        if later is not None:
            intent |= {"status": later, "amount_received": 0}
        found |= {
            "status": "complete", "payment_intent": intent["id"], "url": None,
            "payment_status": "unpaid" if later else "paid",
        }  # fmt: skip
        return self.event("checkout.session.completed", found)

    def money_came(self, session: str) -> dict[str, Any]:
        """The money that comes later has come; return the event to send."""
        intent = self.intent_of(session)
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        self.sessions[session]["payment_status"] = "paid"
        return self.event("checkout.session.async_payment_succeeded", self.sessions[session])

    def money_never_came(self, session: str) -> dict[str, Any]:
        """The money that comes later never will; return the event to send."""
        self.intent_of(session)["status"] = "requires_payment_method"
        return self.event("checkout.session.async_payment_failed", self.sessions[session])

    def event(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        return checked(
            stripe.Event, id=f"evt_{secrets.token_hex(8)}", object="event", api_version="2026-01-01",
            created=int(time.time()), data={"object": dict(about)}, livemode=False, pending_webhooks=1,
            type=kind,
        )  # fmt: skip

    async def send(self, http: aiohttp.ClientSession, url: str, event: dict[str, Any]) -> tuple[int, Any]:
        text = json.dumps(event, indent=2)
        signature = stripe.WebhookSignature.generate_signature_header(text, SECRET)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        async with http.post(f"{url}/v1/payments/stripe/webhook", data=text, headers=headers) as answer:
            return answer.status, await answer.json()

    def intent_of(self, session: str) -> dict[str, Any]:
        id_ = session if session.startswith("pi_") else self.sessions[session]["payment_intent"]
        return self.intents[id_]

    def kept(self, session: str) -> int:
        intent = self.intent_of(session)
        back = [
            each["amount"] for each in self.refunds.values()
            if each["payment_intent"] == intent["id"] and each["status"] == "succeeded"
        ]  # fmt: skip
        return int(intent.get("amount_received", 0)) - sum(back)

    async def call(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {KEY}", request.headers
        noun = request.path.removeprefix("/v1/")
        self.calls.append(f"{request.method} {noun}")
        plan = self.plan.get(f"{request.method} {noun}")
        what = plan.pop(0) if plan else ""
        if what == "away":
            return web.json_response({"error": {"type": "api_error", "message": "away"}}, status=500)
        if what == "key":
            error = {"type": "invalid_request_error", "message": f"Invalid API Key provided: {KEY}"}
            return web.json_response({"error": error}, status=401)
        text = await request.text()
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        known = self.by_key.get(key) if key else None
        if known is not None and known[0] != text:
            error = {"type": "idempotency_error", "message": "Keys for idempotent requests differ"}
            return web.json_response({"error": error}, status=400)
        if known is not None:
            status, answer = 200, known[1]
        else:
            asked = nested(text) if request.method == "POST" else dict(request.query)
            status, answer = self._answer(request.method, noun.split("/"), asked)
            if what == "pending":
                answer |= {"status": "pending"}
            if key and status == 200 and what != "forget":
                self.by_key[key] = text, dict(answer)
        if what in ("lose", "forget"):
            assert request.transport is not None
            request.transport.close()
        if what == "cut":
            return await self._cut(request, json.dumps(answer).encode())
        if what == "slow":
            await asyncio.sleep(0.3)
        return web.json_response(answer, status=status)

    async def _cut(self, request: web.Request, answer: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(answer))})
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    def _answer(self, method: str, path: list[str], asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match method, path:
            case "POST", ["checkout", "sessions"]:
                return 200, self._create_session(asked)
            case "GET", ["checkout", "sessions", id_]:
                return 200, self.sessions[id_]
            case "POST", ["checkout", "sessions", id_, "expire"]:
                session = self.sessions[id_]
                if session["status"] != "open":
                    return 400, _error('Only Checkout Sessions with a status in ["open"] can be expired.')
                session |= {"status": "expired", "url": None}
                return 200, session
            case "POST", ["payment_intents"]:
                check_params(asked, intent_params.PaymentIntentCreateParams)
                assert "automatic_payment_methods" in asked
                check_amount(asked["amount"], asked["currency"])
                return 200, self._intent(int(asked["amount"]), asked["currency"], asked["metadata"])
            case "GET", ["payment_intents", id_]:
                return 200, self.intents[id_]
            case "POST", ["payment_intents", id_, "cancel"]:
                intent = self.intents[id_]
                if intent["status"] in ("succeeded", "canceled"):
                    return 400, _error(
                        "You cannot cancel this PaymentIntent", "payment_intent_unexpected_state"
                    )
                intent["status"] = "canceled"
                return 200, intent
            case "POST", ["refunds"]:
                return self._create_refund(asked)
            case "GET", ["refunds"]:
                of = [
                    each
                    for each in self.refunds.values()
                    if each["payment_intent"] == asked["payment_intent"]
                ]
                return 200, {"object": "list", "data": of, "has_more": False, "url": "/v1/refunds"}
            case "GET", ["refunds", id_]:
                if self.refunds[id_]["status"] == "pending":
                    self.refunds[id_]["status"] = "succeeded"
                return 200, self.refunds[id_]
        return 404, _error(f"Unrecognized request URL ({method}: {path})")

    def _create_session(self, asked: dict[str, Any]) -> dict[str, Any]:
        check_params(asked, session_params.SessionCreateParams)
        assert int(asked["expires_at"]) >= time.time() + 1800, "at least 30 minutes"
        assert int(asked["expires_at"]) <= time.time() + 24 * 3600
        lines = asked["line_items"].values()
        for each in lines:
            check_amount(each["price_data"]["unit_amount"], each["price_data"]["currency"])
        total = sum(int(each["price_data"]["unit_amount"]) * int(each["quantity"]) for each in lines)
        id_ = f"cs_test_{secrets.token_hex(8)}"
        made = checked(
            Session, id=id_, object="checkout.session", amount_total=total, status="open",
            client_reference_id=asked["client_reference_id"], metadata=asked["metadata"],
            currency=next(iter(lines))["price_data"]["currency"], mode=asked["mode"],
            expires_at=int(asked["expires_at"]), payment_intent=None, payment_status="unpaid",
            success_url=asked["success_url"], url=f"https://checkout.stripe.com/c/pay/{id_}",
        )  # fmt: skip
        self.sessions[id_] = made
        return made

    def _intent(self, amount: int, currency: str, metadata: dict[str, str]) -> dict[str, Any]:
        id_ = f"pi_{secrets.token_hex(8)}"
        self.intents[id_] = checked(
            stripe.PaymentIntent, id=id_, object="payment_intent", amount=amount, amount_received=0,
            currency=currency, metadata=metadata, status="requires_payment_method",
            client_secret=f"{id_}_secret_x",
        )  # fmt: skip
        return self.intents[id_]

    def _create_refund(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        check_params(asked, refund_params.RefundCreateParams)
        intent, amount = self.intents[asked["payment_intent"]], int(asked["amount"])
        check_amount(asked["amount"], intent["currency"])
        of = [each for each in self.refunds.values() if each["payment_intent"] == intent["id"]]
        of = [each for each in of if each["status"] != "failed"]
        if sum(each["amount"] for each in of) + amount > intent["amount_received"]:
            return 400, _error("Charge has already been refunded.", "charge_already_refunded")
        made = checked(
            stripe.Refund, id=f"re_{secrets.token_hex(8)}", object="refund", amount=amount,
            currency=intent["currency"], metadata=asked["metadata"], payment_intent=intent["id"],
            status="succeeded",
        )  # fmt: skip
        self.refunds[made["id"]] = made
        return 200, made


def _error(message: str, code: str = "resource_invalid") -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "message": message, "code": code}}


@asynccontextmanager
async def standing_in_for_stripe() -> AsyncIterator[StripeStandIn]:
    """A stand-in that listens on 127.0.0.1."""
    stand_in = StripeStandIn()
    async with listening("*", stand_in.call) as stand_in.port:
        yield stand_in
