"""Each call of the API has its place on the pages, or a reason why people do not need one there."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

WEB: Final = Path(__file__).parents[2] / "web"
CONTRACT: Final = json.loads((WEB / "openapi.json").read_text())
VERBS: Final = ("get", "post", "put", "patch", "delete")
OPERATIONS: Final = {
    f"{verb.upper()} {path}" for path, verbs in CONTRACT["paths"].items() for verb in verbs if verb in VERBS
}

PLACES: Final = {
    "control/": (
        "GET /v1/sales", "POST /v1/sales", "GET /v1/sales/{sale}", "PATCH /v1/sales/{sale}",
        "DELETE /v1/sales/{sale}", "POST /v1/sales/{sale}/open", "POST /v1/sales/{sale}/pause",
        "POST /v1/sales/{sale}/close", "GET /v1/sales/{sale}/audit", "POST /v1/sales/{sale}/items",
        "PATCH /v1/sales/{sale}/items/{sku}", "DELETE /v1/sales/{sale}/items/{sku}",
        "POST /v1/sales/{sale}/items/{sku}/restock", "POST /v1/sales/{sale}/pools/{pool}/restock",
        "GET /v1/sales/{sale}/orders", "POST /v1/orders/{id}/cancel",
        "GET /v1/sales/{sale}/reservations", "GET /v1/reservations/{id}", "POST /v1/reservations/{id}/amend",
        "POST /v1/reservations/{id}/confirm", "POST /v1/reservations/{id}/extend",
        "POST /v1/reservations/{id}/release", "POST /v1/reservations/{id}/transfer",
        "GET /v1/reservations/{id}/payments", "GET /v1/waiting-list/{id}", "DELETE /v1/waiting-list/{id}",
        "GET /v1/sales/{sale}/tickets/{ticket}", "POST /v1/sales/{sale}/tickets/{ticket}/leave",
        "GET /v1/sales/{sale}/lottery", "GET /v1/sales/{sale}/shadow", "POST /v1/sales/{sale}/shadow",
    ),
    "control/import/": ("POST /v1/imports",),
    "control/webhooks/": (
        "GET /v1/webhooks", "POST /v1/webhooks", "GET /v1/webhooks/{id}", "PATCH /v1/webhooks/{id}",
        "DELETE /v1/webhooks/{id}", "POST /v1/webhooks/{id}/rotate-secret", "POST /v1/webhooks/{id}/test",
        "GET /v1/webhooks/{id}/deliveries", "POST /v1/webhooks/{id}/replay",
    ),
    "control/keys/": (
        "GET /v1/keys", "POST /v1/keys", "POST /v1/keys/{id}/rotate", "POST /v1/keys/{id}/revoke",
        "GET /v1/signing-keys", "POST /v1/signing-keys/rotate", "POST /v1/buyer-tokens/{id}/revoke",
    ),
    "control/payments/": ("GET /v1/payments", "GET /v1/payments/{id}", "POST /v1/payments/{id}/refund"),
    "control/log/": ("GET /v1/admin-log",),
    "control/health/": ("GET /v1/system", "GET /readyz"),
    "control/, every section": ("GET /v1/caller",),
    "sale/": (
        "POST /v1/sales/{sale}/reservations", "POST /v1/sales/{sale}/waiting-list",
        "POST /v1/sales/{sale}/tickets",
        "POST /v1/reservations/{id}/payment", "GET /v1/payment-providers",
    ),
    "simulator/": (
        "GET /v1/simulations", "POST /v1/simulations", "GET /v1/simulations/{id}",
        "POST /v1/simulations/{id}/stop",
    ),
    "script/": ("GET /v1/kernel/scripts/{name}",),
}  # fmt: skip

NOT_FOR_PEOPLE: Final = {
    "GET /healthz": "a process supervisor asks it; the health section shows /readyz",
    "GET /metrics": "Prometheus reads it; the health section gives the command",
    "GET /v1/facts": "a feed that a program follows",
    "GET /v1/kernel/scripts": "a list of names; the page about the script shows the one that decides",
    "GET /v1/orders/{id}": "an order is the reservation with its id, which is shown",
    "POST /v1/payments/{provider}/webhook": "the payment provider calls it",
    "POST /v1/sales/{sale}/buyer-tokens": "the shop's server mints them for its own buyers",
    "POST /v1/sales/{sale}/orders": "the storefront holds first; buying at once is for programs",
    "POST /v1/sales/{sale}/orders:batch": "a program sells for many buyers in one call",
    "POST /v1/sales/{sale}/reservations:batch": "a program holds for many buyers in one call",
    "POST /v1/sales/{sale}/shadow/attempts": "the shop's server sends what its own stock decided",
}
NOT_BY_THE_CLIENT: Final = {
    "GET /v1/sales/{sale}/challenge": "lib/use-room.ts",
    "GET /v1/sales/{sale}/events": "lib/use-sale.ts",
    "GET /v1/sales/{sale}/tickets/{ticket}/events": "lib/use-room.ts",
    "GET /v1/simulations/{id}/events": "lib/use-simulation.ts",
}
"""Event streams and the challenge: other code than the typed client asks for them, in this file."""

SOURCES: Final = {
    path: path.read_text()
    for folder in ("components", "lib")
    for path in (WEB / folder).rglob("*.ts*")
    if path.name != "schema.d.ts"
}
CALL: Final = re.compile(r'\.(GET|POST|PATCH|DELETE)\(\s*"([^"]+)"')
CALLED: Final = {f"{verb} {path}" for text in SOURCES.values() for verb, path in CALL.findall(text)}


def test_each_call_has_a_place_or_a_reason() -> None:
    placed = [call for calls in PLACES.values() for call in calls]
    listed = [*placed, *NOT_FOR_PEOPLE, *NOT_BY_THE_CLIENT]
    assert sorted(OPERATIONS - set(listed)) == [], "give these a place on a page, or say why not"
    assert sorted(set(listed) - OPERATIONS) == [], "the API has no such call any longer"
    assert len(listed) == len(set(listed))


def test_what_has_a_place_is_called_by_the_pages() -> None:
    assert sorted({call for calls in PLACES.values() for call in calls} - CALLED) == []


def test_the_places_are_pages() -> None:
    for place in PLACES:
        page = WEB / "pages" / place.partition(",")[0].rstrip("/")
        assert page.with_suffix(".tsx").exists() or (page / "index.tsx").exists(), place


@pytest.mark.parametrize(("call", "file"), NOT_BY_THE_CLIENT.items())
def test_other_calls_stand_in_the_files_that_make_them(call: str, file: str) -> None:
    last = call.rpartition("/")[2]
    assert f"/{last}" in (WEB / file).read_text()
