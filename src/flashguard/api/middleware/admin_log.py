"""Writes the admin log's line of a call before its answer is sent."""

from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flashguard.api.admin_log import AdminLogWriter
from flashguard.ledger.admin_log import ActionOutcome, AdminAction

READS = ("GET", "HEAD", "OPTIONS")


class _Coded(msgspec.Struct):
    code: str | None = None


class AdminLog:
    """The framework's middleware. A call whose right is not logged passes at the cost of one look-up."""

    def __init__(self, app: ASGIApp, writer: AdminLogWriter) -> None:
        self.app = app
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READS:
            await self.app(scope, receive, send)
            return
        head: Message | None = None

        async def logged(message: Message) -> None:
            nonlocal head
            action = _action(scope)
            if action is None:
                await send(message)
            elif message["type"] == "http.response.start":
                head = message  # until the line is written
            else:
                if head is not None:
                    await self._write(action, head, message)
                    await send(head)
                    head = None
                await send(message)

        try:
            await self.app(scope, receive, logged)
        except Exception:
            action = _action(scope)
            if action is not None:
                action.outcome = ActionOutcome.FAILED
                await self._writer.write(action)
            raise

    async def _write(self, action: AdminAction, head: Message, body: Message) -> None:
        status: int = head["status"]
        if status >= 400:
            action.outcome = ActionOutcome.FAILED if status >= 500 else ActionOutcome.REFUSED
            action.code = _code(body.get("body", b""))
        elif (b"idempotent-replayed", b"true") in head["headers"]:
            action.outcome = ActionOutcome.REPLAYED
        if action.code != "forbidden" or self._writer.takes_forbidden():
            await self._writer.write(action)


def _action(scope: Scope) -> AdminAction | None:
    state: dict[str, Any] = scope.get("state", {})
    return state.get("action")


def _code(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Coded).code
    except msgspec.DecodeError:
        return None
