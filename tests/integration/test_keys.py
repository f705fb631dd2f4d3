"""Who needs a key, and where the admin's comes from."""

import asyncio
import re
import stat
import subprocess
import sys

from tests.support.ports import free_port
from tests.support.service import Service, clean_env, stop
from tests.support.streams import another_api

OPEN = {
    "/healthz",
    "/readyz",
    # a browser's EventSource can't send a key, and a report is shared by its address
    "/v1/sales/{sale}/events",
    "/v1/simulations/{id}",
    "/v1/simulations/{id}/events",
    "/v1/payments/{provider}/webhook",  # the provider signs what it sends
}
FILLED = {"sale": "nobody", "sku": "unit", "id": f"nobody.{'0' * 24}", "name": "reserve_stock"}


async def test_in_production_every_call_but_health_needs_a_key(service, http):
    document = (await service.call("GET", "/openapi.json")).ok()
    async with another_api(service, http, FLASHGUARD_MODE="production") as production:
        for path, methods in document["paths"].items():
            address = re.sub(r"\{(\w+)\}", lambda name: FILLED.get(name[1], "none"), path)
            for method in methods:
                body = None if method == "get" else {}
                if path not in OPEN:
                    refused = await production.call(method.upper(), address, body)
                    assert refused.status == 401, (method, path, refused)
                    refused.problem(401, "unauthenticated")
                elif path in ("/healthz", "/readyz"):
                    (await production.call("GET", path)).ok()


async def test_an_api_that_was_given_no_key_makes_one_and_says_where_it_is(service, http, tmp_path):
    port = free_port()
    env = clean_env(
        FLASHGUARD_REDIS_URL=service.redis_url,
        FLASHGUARD_DATABASE_URL=service.database_url,
        FLASHGUARD_DATA_DIR=str(tmp_path / "data"),
    )
    api = subprocess.Popen(
        [sys.executable, "-m", "flashguard", "api", "--port", str(port)],
        env=env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        path = tmp_path / "data" / "admin.key"
        assert api.stdout is not None
        assert str(path) in await asyncio.to_thread(api.stdout.readline)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        running = Service(f"http://127.0.0.1:{port}", service, http)
        running.admin_key = path.read_text().strip()
        async with asyncio.timeout(60):
            while not await running.ready():
                await asyncio.sleep(0.05)
        assert await running.admin("GET", "/v1/simulations")
    finally:
        api.terminate()
        await stop(api)
