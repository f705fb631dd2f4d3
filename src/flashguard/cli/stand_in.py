"""A stand-in for a payment provider, so that a visitor of `flashguard up` can walk through a whole purchase.

No money moves. It speaks the calls of the provider `signed`, and only in development mode, on 127.0.0.1.
"""

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import msgspec
from aiohttp import web

from flashguard.embedded.admin_key import write_private
from flashguard.errors import FlashGuardError
from flashguard.settings import Mode, Settings
from flashguard.webhooks.signing import is_signed, new_secret, signed_headers

from .sale_tables import price_of
from .stand_in_pages import list_page, session_page

log = logging.getLogger("flashguard")
T = TypeVar("T")

HOST: Final = "127.0.0.1"
FILE_NAME: Final = "stand-in-provider.json"
TELL_SECONDS: Final = 5.0
TELL_TRIES: Final = 3
STATUSES: Final = {"pay": "paid", "less": "paid", "late": "late", "decline": "ended"}
"""What the buyer may choose, and the status of the session then. The money of a `late` one is found when the
session is ended, after its hold."""

MOST_SESSIONS: Final = 1_000
"""Sessions that are kept, so that the file stays small."""
MOST_LISTED: Final = 50


class StandInError(FlashGuardError):
    """The stand-in can't start; the service runs without it."""


class _PayLine(msgspec.Struct):
    name: str
    price_minor: int
    quantity: int


class _AskedToPay(msgspec.Struct):
    id: str
    amount_minor: int
    currency: str
    lines: list[_PayLine]
    success_url: str | None = None
    cancel_url: str | None = None


class _PaySession(msgspec.Struct):
    id: str
    asked: _AskedToPay
    status: str = "open"
    paid_minor: int = 0


class _AskedToEnd(msgspec.Struct):
    session: str


class _AskedToRefund(msgspec.Struct):
    id: str
    session: str
    amount_minor: int


class _Kept(msgspec.Struct):
    """What outlives a restart: sessions by the payment, and refunds by their ids."""

    port: int = 0
    sessions: dict[str, _PaySession] = {}
    refunds: dict[str, _AskedToRefund] = {}


def is_offered(settings: Settings) -> bool:
    """Return whether `up` offers the stand-in: in development mode, to browsers of this machine alone, where
    the settings say nothing about providers."""
    return (
        settings.mode is Mode.DEVELOPMENT
        and "payment_providers" not in settings.model_fields_set
        and _is_loopback(settings.host)
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class StandIn:
    """The stand-in, with its sessions and refunds in a file, which outlive a restart. So does its port,
    which stands in the addresses of open sessions."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._kept = _Kept()
        self._secret = new_secret()
        self._webhook_url = ""
        self._telling: set[asyncio.Task[None]] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self, api_url: str) -> AsyncIterator[dict[str, str]]:
        """Serve, and yield the settings with which FlashGuard uses it.

        Raises:
            StandInError: its file can't be written, or there is no port.
        """
        self._webhook_url = f"{api_url}/v1/payments/signed/webhook"
        app = web.Application()
        app.router.add_post("/sessions", self._sessions)
        app.router.add_post("/sessions/expire", self._expire)
        app.router.add_post("/refunds", self._refunds)
        app.router.add_get("/", self._list)
        app.router.add_get("/pay/{payment}", self._show)
        app.router.add_post("/pay/{payment}", self._choose)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await self._listen(runner)
            yield {
                "FLASHGUARD_PAYMENT_PROVIDERS": '["signed"]',
                "FLASHGUARD_PAYMENT_SIGNED_URL": self.url,
                "FLASHGUARD_PAYMENT_SIGNED_SECRET": self._secret,
            }
        finally:
            for task in self._telling:
                task.cancel()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            if self._file.exists():
                self._kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
            try:
                await web.TCPSite(runner, HOST, self._kept.port).start()
            except OSError:
                await web.TCPSite(runner, HOST, 0).start()
            self._kept.port = runner.addresses[0][1]
            self.url = f"http://{HOST}:{self._kept.port}"
            self._keep()
        except (OSError, msgspec.MsgspecError) as error:
            raise StandInError(f"There is no stand-in for payments: {error}") from error

    def _keep(self) -> None:
        for payment in list(self._kept.sessions)[:-MOST_SESSIONS]:
            del self._kept.sessions[payment]
        for refund in list(self._kept.refunds)[:-MOST_SESSIONS]:
            del self._kept.refunds[refund]
        write_private(self._file, msgspec.json.encode(self._kept).decode())

    async def _read(self, request: web.Request, kind: type[T]) -> T:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not is_signed(headers, body, self._secret, time.time()):
            raise web.HTTPUnauthorized
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise web.HTTPUnprocessableEntity from error

    def _session(self, id_: str) -> _PaySession:
        for session in self._kept.sessions.values():
            if session.id == id_:
                return session
        raise web.HTTPNotFound

    async def _sessions(self, request: web.Request) -> web.Response:
        asked = await self._read(request, _AskedToPay)
        session = self._kept.sessions.get(asked.id)
        if session is None:
            session = self._kept.sessions[asked.id] = _PaySession(f"ses_{secrets.token_hex(12)}", asked)
            self._keep()
        return web.json_response({"id": session.id, "url": f"{self.url}/pay/{asked.id}"})

    async def _expire(self, request: web.Request) -> web.Response:
        session = self._session((await self._read(request, _AskedToEnd)).session)
        session.status = {"open": "ended", "late": "paid"}.get(session.status, session.status)
        self._keep()
        return web.json_response(
            {
                "status": session.status,
                "amount_minor": session.paid_minor,
                "currency": session.asked.currency,
            }
        )

    async def _refunds(self, request: web.Request) -> web.Response:
        asked = await self._read(request, _AskedToRefund)
        session = self._session(asked.session)
        others = [
            refund.amount_minor
            for refund in self._kept.refunds.values()
            if refund.session == session.id and refund.id != asked.id
        ]
        if session.status != "paid" or sum(others) + asked.amount_minor > session.paid_minor:
            raise web.HTTPUnprocessableEntity
        self._kept.refunds[asked.id] = asked
        self._keep()
        return web.json_response({"id": f"rf_{asked.id}", "status": "done"})

    def _found(self, request: web.Request) -> _PaySession:
        session = self._kept.sessions.get(request.match_info["payment"])
        self._must_be_ours(request)
        if session is None:
            raise web.HTTPNotFound
        return session

    def _must_be_ours(self, request: web.Request) -> None:
        if request.host != self.url.removeprefix("http://"):  # another's name leads here
            raise web.HTTPNotFound

    async def _list(self, request: web.Request) -> web.Response:
        self._must_be_ours(request)
        newest = list(self._kept.sessions.values())[: -MOST_LISTED - 1 : -1]
        rows = (
            (session.asked.id, price_of(session.asked.amount_minor, session.asked.currency), session.status)
            for session in newest
        )
        return list_page(request.headers.get("Accept-Language", ""), rows)

    async def _show(self, request: web.Request) -> web.Response:
        session = self._found(request)
        asked = session.asked
        return session_page(
            request.headers.get("Accept-Language", ""),
            ((line.quantity, line.name, price_of(line.price_minor, asked.currency)) for line in asked.lines),
            price_of(asked.amount_minor, asked.currency),
            is_open=session.status == "open",
            back=asked.cancel_url,
        )

    async def _choose(self, request: web.Request) -> web.Response:
        session = self._found(request)
        choice, asked = (await request.post()).get("choice"), session.asked
        if not isinstance(choice, str) or choice not in STATUSES:
            raise web.HTTPUnprocessableEntity
        if session.status == "open":
            session.status = STATUSES[choice]
            session.paid_minor = 0 if choice == "decline" else asked.amount_minor - (choice == "less")
            self._keep()
            if session.status != "late":
                self._tell(session)
        url = asked.cancel_url if choice == "decline" else asked.success_url
        raise web.HTTPSeeOther(url or request.path)

    def _tell(self, session: _PaySession) -> None:
        """Send an event, without keeping the buyer. A lost one is found: the settler asks, at the hold's
        end."""
        task = asyncio.create_task(self._send(session))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _send(self, session: _PaySession) -> None:
        data = {
            "payment_id": session.asked.id, "session": session.id, "amount_minor": session.paid_minor,
            "currency": session.asked.currency,
        }  # fmt: skip
        id_ = f"evt_{secrets.token_hex(12)}"
        body = msgspec.json.encode({"type": f"payment.{session.status}", "data": data})
        timeout = aiohttp.ClientTimeout(total=TELL_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for attempt in range(1, TELL_TRIES + 1):
                headers = signed_headers(id_, int(time.time()), body, [self._secret])
                headers["Content-Type"] = "application/json"
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.post(self._webhook_url, data=body, headers=headers) as answer:
                        if answer.status < 300:
                            return
                await asyncio.sleep(attempt)
        log.warning("the stand-in's event about payment %s was not taken", session.asked.id)
