"""A stand-in for a payment provider: it takes no money, signs as `signed` does, and misbehaves."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"the secret of the stand-in prov.").decode()


class StandIn:
    """Sessions and refunds by our ids.

    `plan` says what the next calls of a path do, then all is well: "away" (500, nothing is done), "lose" (it
    is done, the answer is lost), "refuse" (422), "slow" (it is done, the answer takes 300 ms), "pending" (a
    refund that is not done yet), "failed" (a refund that never will be).

    Who posts to a session's `url` pays it; the event goes to `webhook_url`, the address of a service.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.plan: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.port = 0
        self.webhook_url = ""
        self._webhook = Webhook(SECRET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        return {
            "FLASHGUARD_PAYMENT_PROVIDERS": '["signed"]',
            "FLASHGUARD_PAYMENT_SIGNED_URL": self.url,
            "FLASHGUARD_PAYMENT_SIGNED_SECRET": SECRET,
        }

    def pay(self, payment: str, minor: int | None = None, currency: str | None = None) -> dict[str, Any]:
        """The buyer pays, with no event; return the event to send."""
        session = self.sessions[payment]
        assert session["status"] == "open", session
        session["status"] = "paid"
        session["paid"] = session["amount_minor"] if minor is None else minor
        session["currency"] = currency or session["currency"]
        return self.event("payment.paid", payment)

    def event(self, kind: str, payment: str, **more: Any) -> dict[str, Any]:
        session = self.sessions[payment]
        data = {
            "payment_id": payment, "session": session["id"], "amount_minor": session.get("paid", 0),
            "currency": session["currency"],
        }  # fmt: skip
        return {"id": f"evt_{secrets.token_hex(8)}", "body": {"type": kind, "data": data | more}}

    def signed(self, event: dict[str, Any]) -> tuple[dict[str, str], str]:
        text, now = json.dumps(event["body"]), datetime.now(UTC)
        return {
            "webhook-id": event["id"], "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(event["id"], now, text),
            "content-type": "application/json",
        }, text  # fmt: skip

    async def send(self, http: aiohttp.ClientSession, url: str, event: dict[str, Any]) -> tuple[int, Any]:
        """Send an event; return what it was answered."""
        headers, text = self.signed(event)
        async with http.post(f"{url}/v1/payments/signed/webhook", data=text, headers=headers) as answer:
            return answer.status, await answer.json()

    def given_back(self, payment: str) -> int:
        session = self.sessions[payment]["id"]
        return sum(
            each["amount_minor"] for each in self.refunds.values()
            if each["session"] == session and each["status"] == "done"
        )  # fmt: skip

    def kept(self, payment: str) -> int:
        """What the shop has of this payment in the end."""
        return int(self.sessions[payment].get("paid", 0)) - self.given_back(payment)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        path = request.path[1:]
        self.calls.append(path)
        if path.startswith("pay/"):
            return await self._visited(path.removeprefix("pay/"))
        if path.startswith("plan/"):  # of a test in another process
            _, planned, what = path.split("/")
            self.plan[planned] = [what]
            return web.Response()
        body = await request.text()
        self._webhook.verify(body, dict(request.headers))  # raises: then it is a 500
        plan = self.plan.get(path)
        what = plan.pop(0) if plan else ""
        if what == "away":
            return web.Response(status=500)
        if what == "refuse":
            return web.Response(status=422)
        answer = getattr(self, f"_{path.replace('/', '_')}")(json.loads(body), what)
        if what == "lose":
            assert request.transport is not None
            request.transport.close()
        if what == "slow":
            await asyncio.sleep(0.3)
        return web.json_response(answer)

    async def _visited(self, payment: str) -> web.Response:
        """The buyer pays on the provider's page: the event is sent before the buyer leaves it."""
        event = self.pay(payment)
        async with aiohttp.ClientSession() as http:
            status, body = await self.send(http, self.webhook_url, event)
        return web.json_response(body, status=status)

    def _sessions(self, asked: dict[str, Any], _: str) -> dict[str, Any]:
        assert asked["amount_minor"] == sum(each["price_minor"] * each["quantity"] for each in asked["lines"])
        made = self.sessions.setdefault(
            asked["id"], asked | {"id": f"ses_{secrets.token_hex(8)}", "status": "open"}
        )
        return {"id": made["id"], "url": f"{self.url}/pay/{asked['id']}"}

    def _sessions_expire(self, asked: dict[str, Any], _: str) -> dict[str, Any]:
        session = next(each for each in self.sessions.values() if each["id"] == asked["session"])
        if session["status"] == "open":
            session["status"] = "ended"
        return {
            "status": session["status"], "amount_minor": session.get("paid", 0),
            "currency": session["currency"],
        }  # fmt: skip

    def _refunds(self, asked: dict[str, Any], what: str) -> dict[str, Any]:
        made = self.refunds.setdefault(asked["id"], {**asked, "id": f"rf_{secrets.token_hex(8)}"})
        assert (made["session"], made["amount_minor"]) == (asked["session"], asked["amount_minor"])
        made["status"] = what if what in ("pending", "failed") else made.get("final") or "done"
        session = next(each for each in self.sessions.values() if each["id"] == asked["session"])
        taken = sum(
            each["amount_minor"] for each in self.refunds.values()
            if each["session"] == asked["session"] and each["status"] != "failed"
        )  # fmt: skip
        assert taken <= session["paid"], "more is given back than was taken"
        return {"id": made["id"], "status": made["status"]}


@asynccontextmanager
async def listening(
    method: str, call: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that answers every path by this call; yields its port."""
    app = web.Application()
    app.router.add_route(method, "/{path:.*}", call)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """A stand-in that listens on 127.0.0.1."""
    stand_in = StandIn()
    async with listening("POST", stand_in._call) as stand_in.port:
        yield stand_in
