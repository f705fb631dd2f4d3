"""Serves the pages, including the API's reference, for every path that is not a call of the API."""

import logging
import time
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from flashguard.settings import Settings

from .export import Asset, Export, built, find_folder, policy

log = logging.getLogger("flashguard")

CHECK_SECONDS: Final = 1.0
"""Minimum time between two checks for a new build."""
API_PREFIXES: Final = ("/v1/", "/metrics", "/healthz", "/readyz")
FIRST_PAGES: Final = ("/", "/docs")
"""Paths that show a hint while the pages are not built."""

NO_PAGES: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>FlashGuard</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>FlashGuard is running</h1>
<p>Its pages are not built. Install Node 20 or newer, run <code>make run</code> again, and reload.
Meanwhile, the API's contract is at <a href="/openapi.json">/openapi.json</a>.</p>
</body></html>
"""

GUIDE: Final = "/guide/"
NO_GUIDE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>FlashGuard: no guide</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>The guide is not built here</h1>
<p>A release has it. In the repository, <code>make site</code> builds it: reload this page then.
Meanwhile, read <code>docs/</code> there, or the calls at <a href="/docs">/docs</a>.</p>
</body></html>
"""

SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FOR_ALL: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Of what other origins may load, also with `integrity` and under a policy that demands consent."""
WORKER_POLICY: Final = "default-src 'none'; script-src 'wasm-unsafe-eval'; frame-ancestors 'none'"
"""Of scripts, for which it counts only where one runs as a worker: ALTCHA's, which solves proofs of work, is
WebAssembly. The pages themselves may run none."""


class Pages:
    """The router's fallback for paths without a route."""

    def __init__(self, folder: Path | None) -> None:
        self._given = folder
        self._export: Export | None = None
        self._checked_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise HTTPException(404)
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if f"{path}/".startswith(API_PREFIXES):
            raise HTTPException(404, "Unknown call.")
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(404)
        self._load_new_build()
        if self._export is None:
            if path in FIRST_PAGES:
                return _page(NO_PAGES, 200)
            raise HTTPException(404)
        asset = self._export.find(path)
        if asset is not None:
            return _serve(request, asset, self._export, 200)
        if self._export.is_folder(path):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/{path.strip('/')}/{query}", 308)
        if f"{path}/".startswith(GUIDE) and self._export.find(GUIDE) is None:
            return _page(NO_GUIDE, 404)
        missing = self._export.find("/404.html")
        if missing is None:
            raise HTTPException(404)
        return _serve(request, missing, self._export, 404)

    def _load_new_build(self) -> None:
        """Load a new build, if there is one."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            folder = find_folder(self._given)
            if folder is None:
                self._export = None
            elif self._export is None or self._export.built != built(folder):
                self._export = Export(folder)
        except (OSError, ValueError) as error:  # a build is in progress, or broken
            log.warning("cannot load the pages: %s; the ones loaded before stay", error)


def _serve(request: Request, asset: Asset, build: Export, status: int) -> Response:
    headers = SAFE | {"Cache-Control": asset.cache, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.page:
        headers["Content-Security-Policy"] = build.policy
    elif "javascript" in asset.kind:
        headers["Content-Security-Policy"] = WORKER_POLICY
    if asset.embedded:
        headers |= FOR_ALL
    if status == 200 and asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = asset.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        compressed = asset.compressed()
        if compressed is not None:
            body = compressed
            headers["Content-Encoding"] = "gzip"
    return _response(request, body, status, headers | {"Content-Type": asset.kind})


def _response(request: Request, body: bytes, status: int, headers: dict[str, str]) -> Response:
    response = Response(body, status, headers)
    if request.method == "HEAD":
        response.body = b""  # Content-Length stays that of the page
    return response


def _page(text: str, status: int) -> Response:
    headers = SAFE | {"Content-Security-Policy": policy([]), "Cache-Control": "no-cache"}
    return Response(text, status, headers, media_type="text/html")


def install(app: FastAPI, settings: Settings) -> None:
    """Make the app answer unknown paths with pages."""
    app.router.default = Pages(settings.web_dir)
