"""Serves a recorder's own metrics on a port of their own, without a web framework."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

from flashguard.errors import ConfigurationError
from flashguard.recorder import Recorder
from flashguard.settings import Mode, Settings
from flashguard.telemetry.metrics.exposition import exposition


@asynccontextmanager
async def serving_metrics(recorder: Recorder, settings: Settings) -> AsyncIterator[None]:
    """Answer `GET /metrics` meanwhile, if a port is set; in production mode only with the admin key.

    `GET /healthz` needs no key: a kubelet asks it, and it says only that the recorder's event loop runs.

    Raises:
        ConfigurationError: can't listen on the port, or production mode has no admin key.
    """
    port = settings.recorder_metrics_port
    if port is None:
        yield
        return
    key = settings.admin_key.get_secret_value() if settings.admin_key else ""
    closed = settings.mode is Mode.PRODUCTION
    if closed and not key:
        raise ConfigurationError(
            "In production mode a recorder's metrics need a key: set FLASHGUARD_ADMIN_KEY, or leave "
            "FLASHGUARD_RECORDER_METRICS_PORT unset."
        )

    async def metrics(request: web.Request) -> web.Response:
        sent = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "replace")
        if closed and not hmac.compare_digest(sent, f"Bearer {key}".encode()):
            return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        states = {partition.partition: partition.state.label for partition in recorder.partitions}
        body, media_type = exposition(recorder.meters.families(states), request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: media_type})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {settings.host}, port {port}, for recorder metrics: {error.strerror}."
            ) from error
        yield
    finally:
        await runner.cleanup()
