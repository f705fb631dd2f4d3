"""No key, token, receipt, seed or password of a run is in anything that its processes print or count."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.forked import Flashguard
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, stop, unique

ADMIN = "fg_admin_onlyForTheTestOfSecrecy7"
PASSWORD = "pAssword4TheLedger"


async def test_nothing_secret_is_printed_counted_or_answered(servers, service, http, tmp_path: Path) -> None:
    """The API in production, at its most talkative, through what goes well and what goes wrong."""
    secrets = {"the admin key": ADMIN, "the session's admin key": ADMIN_KEY, "the password": PASSWORD}
    connection = await asyncpg.connect(servers.database_url)
    secrets["the installation's secret"] = await connection.fetchval(
        "SELECT secret FROM flashguard.installation"
    )
    port, output = free_port(), tmp_path / "output"
    env = clean_env(
        FLASHGUARD_REDIS_URL=servers.redis_url,
        FLASHGUARD_DATABASE_URL=_with_password(servers.database_url),
        FLASHGUARD_ADMIN_KEY=ADMIN,
        FLASHGUARD_MODE="production",
        FLASHGUARD_LOG_LEVEL="debug",
        FLASHGUARD_ACCESS_LOG="true",
        FLASHGUARD_PORT=str(port),
        PYTHONUNBUFFERED="1",
    )
    with output.open("wb") as file:
        api = Flashguard("api", env=env, stdout=file.fileno(), stderr=file.fileno())
    shop = Service(f"http://127.0.0.1:{port}", servers, http)
    shop.admin_key = ADMIN
    answers: list[str] = []
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await shop.ready():
                assert api.poll() is None, output.read_text()
                await asyncio.sleep(0.05)
        secrets |= await _use(shop, answers)
        answers.append((await shop.call("GET", "/metrics", admin=True)).body)
        secrets |= {
            f"signing key {row['id']}": row["secret"].hex()
            for row in await connection.fetch("SELECT id, secret FROM flashguard.signing_keys")
        }
    finally:
        api.terminate()
        await stop(api)
        await connection.close()
    printed = output.read_text()
    assert "flashguard" in printed
    everything = {"the log": printed, "the answers": "\n".join(answers)}
    for where, text in everything.items():
        for name, secret in secrets.items():
            assert secret not in text, f"{name} is in {where}"


async def _use(shop: Service, answers: list[str]) -> dict[str, str]:
    """Does everything with secrets once rightly and once wrongly; the secrets that it met."""
    sale = await shop.create_sale(stock=1000)
    key = (await shop.admin("POST", "/v1/keys", {"name": "a", "scopes": ["shop"]}))["key"]
    minted = (await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"}))["token"]
    other = (await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "bob"}))["token"]
    signature = minted.rpartition(".")[2]
    wrong = {
        "a wrong key": f"fg_live_{unique('x')}",
        "a broken token": f"{minted[:-5]}AAAAA",
        "no token": f"{minted.rpartition('.')[0]}.",
    }
    basket = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}

    async def call(method: str, path: str, secret: str, body: Any = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}"} | more
        answer = await shop.call(method, path, body, headers=headers)
        if answer.status >= 400:
            answers.append(json.dumps(answer.body) + str(answer.headers))
        return answer

    for secret in (key, minted, ADMIN, other, *wrong.values()):
        for past_the_lane in ({}, {"Content-Encoding": "identity"}):
            for path in (f"/v1/sales/{sale}/reservations", f"/v1/sales/{sale}/orders"):
                await call("POST", path, secret, basket, **past_the_lane)
                await call("POST", path, secret, {"wrong": secret}, **past_the_lane)
        await call("GET", "/v1/keys", secret)
        await call("GET", f"/v1/nowhere/{sale}", secret)
        await call("DELETE", "/v1/keys", secret)
    held = (await call("POST", f"/v1/sales/{sale}/reservations", minted, basket)).ok(201)
    for receipt in (held["receipt"], held["receipt"][:-2]):
        await call("POST", f"/v1/reservations/{held['id']}/confirm", other, {"receipt": receipt})
        await call("POST", f"/v1/reservations/{held['id']}/confirm", minted, {"receipt": receipt})
    basic = await shop.call("GET", "/v1/sales", headers={"Authorization": f"Basic {key}"})
    answers.append(json.dumps(basic.body))
    return {"a key": key, "a token": minted, "its signature": signature, "a receipt": held["receipt"]} | wrong


def _with_password(url: str) -> str:
    """The ledger's address with a password, which the embedded server does not ask for."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0] or "postgres"
    return urlunsplit(parts._replace(netloc=f"{name}:{PASSWORD}@{host}"))
