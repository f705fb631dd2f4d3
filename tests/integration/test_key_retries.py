"""A retry of what makes a key or a token, under its idempotency key, makes no second one."""

import asyncio
from typing import Any

from tests.support.service import Service, unique


async def test_a_retried_creation_or_rotation_makes_no_second_key(service: Service) -> None:
    body = {"name": unique(), "scopes": ["read"]}
    made = await service.call("POST", "/v1/keys", body, admin=True, key="make-once")
    first = made.ok(201)
    again = await service.call("POST", "/v1/keys", body, admin=True, key="make-once")
    assert again.replayed
    assert again.ok(201) == first | {"key": None}  # nobody has it any more
    other = await service.call("POST", "/v1/keys", body | {"scopes": ["shop"]}, admin=True, key="make-once")
    other.problem(422, "idempotency-mismatch")

    path = f"/v1/keys/{first['id']}/rotate"
    answers = await asyncio.gather(
        *(service.call("POST", path, {"grace_seconds": 60}, admin=True, key="turn-once") for _ in range(4))
    )
    assert len({answer.ok(201)["id"] for answer in answers}) == 1
    assert len([answer for answer in answers if answer.body["key"] is not None]) == 1
    late = await service.call("POST", path, {"grace_seconds": 61}, admin=True, key="turn-once")
    late.problem(422, "idempotency-mismatch")
    (await service.call("POST", path, {"grace_seconds": 60}, admin=True, key="another")).problem(
        404, "invalid-request"
    )
    listed = (await service.call("GET", "/v1/keys?limit=500", admin=True)).ok()["data"]
    assert len([key for key in listed if key["name"] == body["name"]]) == 2


async def test_a_retried_mint_has_the_same_id_so_that_one_revocation_ends_all(service: Service) -> None:
    sale = await service.create_sale()
    path = f"/v1/sales/{sale}/buyer-tokens"

    async def mint(key: str | None, **body: object) -> dict[str, Any]:
        return (await service.call("POST", path, {"customer": "ann"} | body, admin=True, key=key)).ok(201)

    first, again = await mint("once"), await mint("once")
    assert first["id"] == again["id"]
    others = [await mint("twice"), await mint(None), await mint(None), await mint("once", customer="bob")]
    others.append(await mint("once", expires_in_seconds=61))
    assert len({first["id"], *(each["id"] for each in others)}) == 6
    await service.admin("POST", f"/v1/buyer-tokens/{first['id']}/revoke")
    for token, status in ((first, 401), (again, 401), (others[0], 200)):
        headers = {"Authorization": f"Bearer {token['token']}"}
        assert (await service.call("GET", f"/v1/sales/{sale}", headers=headers)).status == status


async def test_a_retried_rotation_of_the_signing_key_rotates_once(service: Service) -> None:
    path = "/v1/signing-keys/rotate"

    async def rotate(key: str, revoke: bool) -> Any:
        return await service.call("POST", path, {"revoke": revoke}, admin=True, key=key)

    for revoke in (False, True):
        key = unique("rotate")
        answers = await asyncio.gather(*(rotate(key, revoke) for _ in range(4)))
        assert len([answer for answer in answers if not answer.replayed]) == 1
        newest = {answer.ok()["data"][0]["id"] for answer in answers}
        assert len(newest) == 1
        assert [each["ends_at"] for each in answers[0].body["data"]].count(None) == 1
        await rotate(unique("rotate"), revoke)
        late = await rotate(key, revoke)  # its key is not the newest any more, and may have ended
        assert late.replayed
        assert late.ok()["data"][0]["id"] not in newest
        (await rotate(key, not revoke)).problem(422, "idempotency-mismatch")
