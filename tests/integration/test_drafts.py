"""A draft is the shop's alone: nobody without an API key reads it, however they ask."""

from collections.abc import AsyncIterator

import pytest

from tests.support.service import Service
from tests.support.streams import another_api, stream


@pytest.fixture(scope="module")
async def shop(service, http) -> AsyncIterator[Service]:
    """An API in production mode, beside the session's one in development."""
    async with another_api(service, http, FLASHGUARD_MODE="production") as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def listed(service: Service, headers: dict[str, str], wanted: str) -> list[str]:
    """The sales that this caller is listed, down to a certain one."""
    ids, path = [], "/v1/sales?limit=2"
    while path and wanted not in ids:
        page = (await service.call("GET", path, headers=headers)).ok()
        ids += [sale["id"] for sale in page["data"]]
        path = page["next_cursor"] and f"/v1/sales?limit=2&cursor={page['next_cursor']}"
    return ids


@pytest.mark.parametrize("spread", [1, 2])
async def test_a_buyer_and_anybody_else_without_a_key_learn_nothing_of_a_draft(
    shop: Service, service: Service, spread: int
) -> None:
    older = await shop.create_sale()
    room = {} if spread > 1 else {"waiting_room": {"mode": "lottery", "admit_per_second": 1}}
    draft = await shop.create_sale(opened=False, spread=spread, **room)
    minted = await shop.admin("POST", f"/v1/sales/{draft}/buyer-tokens", {"customer": "ann"})
    for api, caller in ((shop, bearer(minted["token"])), (service, bearer(minted["token"])), (service, {})):
        ids = await listed(api, caller, older)
        assert older in ids
        assert draft not in ids
        for path in ("", "/events", *(["/lottery"] if room else [])):
            answer = await api.call("GET", f"/v1/sales/{draft}{path}", headers=caller)
            answer.problem(404, "unknown-sale")
    for headers in ({}, bearer("no-key"), bearer("fg_live_nobody")):
        (await shop.call("GET", f"/v1/sales/{draft}/events", headers=headers)).problem(404, "unknown-sale")
    assert draft not in (await service.call("GET", "/metrics")).body


@pytest.mark.parametrize("scope", ["admin", "shop", "read"])
async def test_a_key_of_the_shop_sees_drafts_and_buyers_do_from_the_moment_they_open(
    shop: Service, scope: str
) -> None:
    key = await shop.admin("POST", "/v1/keys", {"name": "a test's", "scopes": [scope]})
    headers = bearer(key["key"])
    draft = await shop.create_sale(opened=False)
    assert draft in await listed(shop, headers, draft)
    assert (await shop.call("GET", f"/v1/sales/{draft}", headers=headers)).ok()["status"] == "draft"
    events = f"/v1/sales/{draft}/events"
    async with stream(shop, events, headers) as watching:
        first = await watching.until("sale")
        assert first.data["status"] == "draft"
        (await shop.call("GET", events)).problem(404, "unknown-sale")
        await shop.admin("PATCH", f"/v1/sales/{draft}", {"starts_at": "2030-01-01T00:00:00Z"})
        await shop.admin("POST", f"/v1/sales/{draft}/open")
        async with stream(shop, events) as buyer:
            assert (await buyer.until("sale")).data["id"] == draft
    assert (await shop.call("GET", f"/v1/sales/{draft}", headers=headers)).ok()["status"] == "scheduled"
