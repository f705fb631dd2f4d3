"""The demo sale that `flashguard up` opens over HTTP, and three commands to try with it."""

import shlex
from typing import Final

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError

REQUEST_TIMEOUT_SECONDS: Final = 15.0
SALE_ID: Final = "demo"

DEMO_SALE: Final = {
    "id": SALE_ID,
    "name": "Demo drop",
    "hold_seconds": 120,
    "limit_per_customer": 4,
    "items": [
        {
            "sku": "sneaker",
            "name": "Limited sneaker",
            "price_minor": 12900,
            "currency": "EUR",
            "stock": 100,
        }
    ],
}


class DemoSaleError(FlashGuardError):
    """The demo sale could not be opened; the service runs without it."""


class _Status(msgspec.Struct):
    status: str


async def open_demo_sale(url: str, admin_key: str) -> None:
    """Create and open the demo sale, unless that was done before. A closed one stays closed.

    Raises:
        DemoSaleError: the service refused, or did not answer.
    """
    headers = {"Authorization": f"Bearer {admin_key}"}
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
    try:
        async with aiohttp.ClientSession(f"{url}/v1/", headers=headers, timeout=timeout) as http:
            async with http.get(f"sales/{SALE_ID}") as answer:
                body = await answer.read()
                status = answer.status
            if status == 404:
                body = await _post(http, "sales", DEMO_SALE)
            elif status != 200:
                raise _refused(body)
            if msgspec.json.decode(body, type=_Status).status == "draft":
                await _post(http, f"sales/{SALE_ID}/open", None)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise DemoSaleError(f"Cannot open the demo sale: {type(problem).__name__} {problem}") from problem


async def _post(http: aiohttp.ClientSession, path: str, body: object) -> bytes:
    async with http.post(path, json=body, headers={"Idempotency-Key": f"demo-{path}"}) as answer:
        text = await answer.read()
        if answer.status >= 400:
            raise _refused(text)
        return text


def _refused(answer: bytes) -> DemoSaleError:
    return DemoSaleError(f"Cannot open the demo sale: {answer.decode(errors='replace')}")


def things_to_try(url: str, admin_key: str, *, demo: bool) -> list[tuple[str, str]]:
    """Return what to try, each with its command.

    Parameters:
        admin_key: the key, or the shell variable that holds it.
    """
    header = f"Authorization: Bearer {admin_key}"
    key = f'"{header}"' if admin_key.startswith("$") else shlex.quote(header)
    if not demo:
        return [
            ("see the sales", f"curl {url}/v1/sales -H {key}"),
            ("see the state of every part", f"curl {url}/readyz"),
            ("see the metrics", f"curl {url}/metrics -H {key}"),
        ]
    basket = '{"customer": "you", "items": [{"sku": "sneaker", "quantity": 1}]}'
    sale = f"{url}/v1/sales/{SALE_ID}"
    return [
        ("buy a pair", f"curl {sale}/orders -H 'Content-Type: application/json' -d {shlex.quote(basket)}"),
        ("see what is left", f"curl {sale}"),
        ("see the orders", f"curl {sale}/orders -H {key}"),
    ]
