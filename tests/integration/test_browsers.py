"""What browsers are told: to do nothing with an answer but hand it over, and to whom."""

import re

import pytest

from flashguard.settings import Settings
from tests.support.raw_http import exchange, request
from tests.support.streams import another_api

SHOP = "https://shop.example"
STRANGERS = (
    "https://shop.example.evil.example",
    "https://evil-shop.example",
    "http://shop.example",
    "https://shop.example:444",
    "https://SHOP.example",
    "null",
    "*",
)
JSON = {"Content_Type": "application/json"}
BASKET = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}


@pytest.fixture(scope="module")
async def shared(service, http):
    async with another_api(service, http, FLASHGUARD_CORS_ORIGINS=f'["{SHOP}"]') as other:
        yield other


def headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower().split("\r\n")[1:]
    names = [line.partition(": ")[0] for line in lines]
    assert len(names) == len(set(names)), names  # nothing is said twice
    return dict(line.split(": ", 1) for line in lines)


async def test_every_answer_keeps_browsers_from_guessing_framing_and_keeping(service):
    sale = await service.create_sale(stock=5)
    asked = {
        "express": request(f"/v1/sales/{sale}/orders", BASKET, **JSON),
        "framework": request(f"/v1/sales/{sale}/orders", BASKET, **JSON, Content_Encoding="identity"),
        "a problem": request(f"/v1/sales/{sale}/orders", b"{", **JSON),
        "not found": request("/v1/nothing", method="GET"),
        "too large": request(f"/v1/sales/{sale}/orders", b" " * 70_000, **JSON),
        "a read": request(f"/v1/sales/{sale}", method="GET"),
        "health": request("/healthz", method="GET"),
        "metrics": request("/metrics", method="GET"),
        "no method": request(f"/v1/sales/{sale}", method="DELETE"),
        "no request": b"nonsense\r\n\r\n",
    }
    for what, raw in asked.items():
        headers = headers_of((await exchange(service, raw))[0])
        assert headers["x-content-type-options"] == "nosniff", what
        assert "default-src 'none'" in headers["content-security-policy"], what
        assert "frame-ancestors 'none'" in headers["content-security-policy"], what
        assert headers["referrer-policy"] == "no-referrer", what
        keeping = "no-cache" if what == "a read" else "no-store"  # a read is compared before each use
        assert headers["cache-control"] == keeping, what
        assert "server" not in headers, what
        assert "x-powered-by" not in headers, what


async def test_the_pages_keep_a_policy_of_their_own(service):
    for path in ("/", "/docs"):
        headers = headers_of((await exchange(service, request(path, method="GET")))[0])
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "object-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"script-src[^;]*'unsafe", policy)


async def test_only_the_shops_own_origin_may_read_answers(shared):
    ask = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "idempotency-key"}
    (yes,) = await exchange(shared, request("/v1/sales", method="OPTIONS", Origin=SHOP, **ask))
    headers = headers_of(yes)
    assert headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in headers
    assert "origin" in headers["vary"]
    for stranger in STRANGERS:
        (no,) = await exchange(shared, request("/v1/sales", method="OPTIONS", Origin=stranger, **ask))
        assert "access-control-allow-origin" not in headers_of(no), stranger
        (read,) = await exchange(shared, request("/v1/sales", method="GET", Origin=stranger))
        assert "access-control-allow-origin" not in headers_of(read), stranger


async def test_without_the_setting_no_other_origin_may_read_anything(service):
    (answer,) = await exchange(service, request("/v1/sales", method="GET", Origin=SHOP))
    assert "access-control-allow-origin" not in headers_of(answer)


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://*.example", "https://shop.example/", "shop.example"]
)
def test_an_origin_that_lets_in_others_is_refused_at_the_start(origin):
    with pytest.raises(ValueError, match="cors_origins"):
        Settings(cors_origins=(origin,))
