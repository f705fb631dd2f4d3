"""The calls that manage webhooks: what they refuse, and that a secret is shown once."""

import pytest

from tests.support.service import Service

URL = "https://shop.example/hook"


async def test_a_secret_is_shown_when_it_is_made_and_never_again(service: Service) -> None:
    made = await service.call("POST", "/v1/webhooks", {"url": URL}, admin=True, key="once")
    endpoint = made.ok(201)
    assert endpoint["secret"].startswith("whsec_")
    assert len(endpoint["events"]) == 13
    retry = await service.call("POST", "/v1/webhooks", {"url": URL}, admin=True, key="once")
    assert retry.replayed
    assert retry.ok(201) == endpoint
    other = {"url": "https://shop.example/other"}
    (await service.call("POST", "/v1/webhooks", other, admin=True, key="once")).problem(
        422, "idempotency-mismatch"
    )
    path = f"/v1/webhooks/{endpoint['id']}"
    assert (await service.call("GET", path, admin=True)).ok()["secret"] is None
    listed = (await service.call("GET", "/v1/webhooks", admin=True)).ok()["data"]
    assert [each["secret"] for each in listed] == [None] * len(listed)
    changed = await service.call("PATCH", path, {"events": ["sale.opened"], "enabled": False}, admin=True)
    assert changed.ok() | {"events": 0, "enabled": 0, "disabled_at": 0, "disabled_why": 0} == {
        **endpoint, "secret": None, "events": 0, "enabled": 0, "disabled_at": 0, "disabled_why": 0,
    }  # fmt: skip
    assert (changed.body["events"], changed.body["enabled"], changed.body["disabled_why"]) == (
        ["sale.opened"], False, "by hand",
    )  # fmt: skip
    assert (await service.call("DELETE", path, admin=True)).status == 204
    (await service.call("GET", path, admin=True)).problem(404, "unknown-webhook")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": "http://shop.example/"}, {"url": "https://127.0.0.1/"}, {"url": "https://[::1]/"},
        {"url": "https://169.254.169.254/latest"}, {"url": "https://10.0.0.8/"}, {"url": "not a url"},
        {"url": 7},
        {"url": URL, "events": []}, {"url": URL, "events": ["order.eaten"]},
        {"url": URL, "description": "\n"},
        {"url": URL, "secret": "whsec_mine"}, {"url": "https://u:p@shop.example/"},
    ],
)  # fmt: skip
async def test_an_endpoint_that_can_not_be_is_refused(service: Service, body: dict[str, object]) -> None:
    (await service.call("POST", "/v1/webhooks", body, admin=True)).problem(422, "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/rotate-secret", None),
        ("GET", "/deliveries", None), ("POST", "/replay", {}), ("POST", "/test", None),
    ],
)  # fmt: skip
async def test_only_an_admin_manages_webhooks_and_only_those_that_exist(
    service: Service, method: str, path: str, body: object
) -> None:
    at = f"/v1/webhooks/we_nobody{path}"
    (await service.call(method, at, body, admin=True)).problem(404, "unknown-webhook")
    (await service.call(method, at, body)).problem(401, "unauthenticated")


async def test_there_are_twenty_endpoints_at_most(service: Service) -> None:
    made = []
    while (answer := await service.call("POST", "/v1/webhooks", {"url": URL}, admin=True)).status == 201:
        made.append(answer.body["id"])
        assert len(made) <= 20
    assert "20" in answer.problem(422, "invalid-request")["detail"]
    for id_ in made:
        await service.call("DELETE", f"/v1/webhooks/{id_}", admin=True)
