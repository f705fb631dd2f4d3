"""A stand-in for Acme: it speaks the API below, and takes no money.

ACME_KEY=key ACME_SECRET=secret WEBHOOK_URL=http://127.0.0.1:8000/v1/payments/acme/webhook python stand_in.py

Requests are JSON by POST with `Authorization: Bearer KEY`. With the same `Idempotency-Key` an answer is about
the same checkout or refund, as it is now.

- `/checkouts`: `reference`, `amount`, `currency`, `return_url` -> a checkout: `id`, `reference`, `state`
  (open, ended or paid), `pay_url`, `paid`, `currency`. The buyer pays at `pay_url`.
- `/checkouts/ID/end`: nothing -> the checkout, which can't be paid any more unless it was.
- `/refunds`: `checkout`, `amount` -> `id`, `state` (pending, done or failed).

An event is POSTed to WEBHOOK_URL until it is answered with 200: `id`, `type` (checkout.paid), `checkout`. Its
header `Acme-Signature` is `TIME.HEX`: the Unix time, and the HMAC-SHA256 of `TIME.BODY` with SECRET.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import time
from typing import Any

import aiohttp
from aiohttp import web

KEY, SECRET = os.environ["ACME_KEY"], os.environ["ACME_SECRET"].encode()
WEBHOOK_URL, PORT = os.environ["WEBHOOK_URL"], int(os.environ.get("PORT", "9100"))
checkouts: dict[str, dict[str, Any]] = {}
refunds: dict[str, dict[str, Any]] = {}
by_key: dict[str, dict[str, Any]] = {}
routes = web.RouteTableDef()
sending: set[asyncio.Task[None]] = set()


@web.middleware
async def only_with_the_key(request: web.Request, handler: Any) -> web.StreamResponse:
    is_buyer = request.path.startswith("/pay/")
    if not is_buyer and request.headers.get("Authorization") != f"Bearer {KEY}":
        return web.json_response({"error": "unauthorized"}, status=401)
    response: web.StreamResponse = await handler(request)
    return response


@routes.post("/checkouts")
async def create(request: web.Request) -> web.Response:
    asked, key = await request.json(), request.headers["Idempotency-Key"]
    if key not in by_key:
        id_ = f"co_{secrets.token_hex(8)}"
        by_key[key] = checkouts[id_] = {
            "id": id_, "reference": asked["reference"], "state": "open", "amount": asked["amount"],
            "currency": asked["currency"], "pay_url": f"http://127.0.0.1:{PORT}/pay/{id_}", "paid": 0,
        }  # fmt: skip
    return web.json_response(by_key[key])


@routes.post("/checkouts/{id}/end")
async def end(request: web.Request) -> web.Response:
    checkout = checkouts[request.match_info["id"]]
    if checkout["state"] == "open":
        checkout["state"] = "ended"
    return web.json_response(checkout)


@routes.post("/refunds")
async def refund(request: web.Request) -> web.Response:
    asked, key = await request.json(), request.headers["Idempotency-Key"]
    paid = checkouts[asked["checkout"]]["paid"]
    back = sum(each["amount"] for each in refunds.values() if each["checkout"] == asked["checkout"])
    if key not in by_key and back + asked["amount"] > paid:
        return web.json_response({"error": "more than was paid"}, status=422)
    if key not in by_key:
        id_ = f"rf_{secrets.token_hex(8)}"
        by_key[key] = refunds[id_] = {"id": id_, "state": "done", **asked}
    return web.json_response(by_key[key])


@routes.post("/pay/{id}")
async def pay(request: web.Request) -> web.Response:
    """The buyer pays; `?amount=` another sum than was asked; with `?lost` the event is lost."""
    checkout = checkouts[request.match_info["id"]]
    if checkout["state"] != "open":
        return web.json_response({"error": f"it is {checkout['state']}"}, status=409)
    checkout |= {"state": "paid", "paid": int(request.query.get("amount", checkout["amount"]))}
    if "lost" in request.query:
        return web.json_response(checkout)
    event = {"id": f"ev_{secrets.token_hex(8)}", "type": "checkout.paid", "checkout": dict(checkout)}
    sending.add(task := asyncio.create_task(send(json.dumps(event).encode())))
    task.add_done_callback(sending.discard)
    return web.json_response(checkout)


@routes.get("/refunds")
async def made(_: web.Request) -> web.Response:
    return web.json_response(list(refunds.values()))


async def send(body: bytes) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            at = str(int(time.time()))
            signature = hmac.new(SECRET, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
            headers = {"Acme-Signature": f"{at}.{signature}"}
            try:
                async with http.post(WEBHOOK_URL, data=body, headers=headers) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(1)


if __name__ == "__main__":
    app = web.Application(middlewares=[only_with_the_key])
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=PORT, print=None)
