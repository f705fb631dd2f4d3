"""HEAD is GET without its body, on every GET; and preflight allows every method of the contract."""

import aiohttp
import pytest

from tests.support.service import Service, unique
from tests.support.streams import another_api

DIFFERENT = {"Date", "X-Request-Id", "RateLimit"}


async def test_head_answers_the_head_of_get_on_every_get(
    service: Service, http: aiohttp.ClientSession
) -> None:
    sale = await service.create_sale()
    order = (await service.buy(sale, "ann")).ok(201)["id"]
    document = (await service.call("GET", "/openapi.json")).ok()
    streams = [path for path in document["paths"] if path.endswith("/events")]
    filled = {"{sale}": sale, "{id}": order, "{ticket}": "x" * 16, "{name}": "reserve_stock"}
    paths = [path for path, methods in document["paths"].items() if "get" in methods and path not in streams]
    assert len(paths) > 15
    for path in (*paths, "/", "/docs", "/openapi.json", f"/v1/sales/{unique()}"):
        for name, value in filled.items():
            path = path.replace(name, value)
        one = await service.call("GET", path, admin=True)
        other = await service.call("HEAD", path, admin=True)
        assert other.status == one.status, path
        assert other.headers.keys() - DIFFERENT == one.headers.keys() - DIFFERENT, path
        assert other.headers.get("Content-Type") == one.headers.get("Content-Type"), path
    stream = await service.call("HEAD", f"/v1/sales/{sale}/events")
    assert (stream.status, stream.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    csv = await service.call("HEAD", f"/v1/sales/{sale}/orders?format=csv", admin=True)
    assert csv.headers["Content-Type"].startswith("text/csv")
    (await service.call("GET", "/healthz")).ok()
    assert (await service.call("HEAD", f"/v1/sales/{sale}/open")).status == 405


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_preflight_allows_every_method_of_the_contract(
    service: Service, http: aiohttp.ClientSession, method: str
) -> None:
    origin = "https://shop.example"
    async with another_api(service, http, FLASHGUARD_CORS_ORIGINS=f'["{origin}"]') as shared:
        document = (await shared.call("GET", "/openapi.json")).ok()
        used = {name.upper() for methods in document["paths"].values() for name in methods}
        assert used == {"GET", "POST", "PATCH", "DELETE"}
        asked = "authorization, content-type, idempotency-key, traceparent, tracestate"
        headers = {
            "Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": asked
        }  # fmt: skip
        answer = await shared.call("OPTIONS", "/v1/waiting-list/x", headers=headers)
        assert answer.status == 200
        assert method in answer.headers["Access-Control-Allow-Methods"]
