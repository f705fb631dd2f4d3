"""The kernel's own client, against a real Valkey."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flashguard.embedded import EmbeddedValkey
from flashguard.valkey.address import Address
from flashguard.valkey.connection import ServerClient
from flashguard.valkey.errors import NoScriptError, RedisError, ResponseError

TIMEOUT_SECONDS = 0.5


@pytest.fixture(scope="module")
async def valkey() -> AsyncIterator[EmbeddedValkey]:
    with tempfile.TemporaryDirectory(prefix="fg-connection-", dir="/tmp") as folder:
        async with EmbeddedValkey(Path(folder)) as server:
            yield server


@pytest.fixture
async def client(valkey: EmbeddedValkey) -> AsyncIterator[ServerClient]:
    client = ServerClient(Address(valkey.url), timeout_seconds=TIMEOUT_SECONDS)
    yield client
    await client.aclose()


async def connections(client: ServerClient) -> int:
    return len((await client.execute_command("CLIENT", "LIST")).splitlines())


async def test_a_thousand_commands_at_once_share_one_connection_and_get_their_own_answers(client):
    answers = await asyncio.gather(*(client.execute_command("ECHO", str(n)) for n in range(1000)))
    assert answers == [str(n).encode() for n in range(1000)]
    assert await connections(client) == 1


async def test_an_error_is_its_askers_alone(client):
    wrong, right = await asyncio.gather(
        client.execute_command("NOPE"), client.execute_command("ECHO", "x"), return_exceptions=True
    )
    assert isinstance(wrong, ResponseError)
    assert right == b"x"
    with pytest.raises(NoScriptError):
        await client.evalsha("0" * 40, 0)


async def test_whoever_is_cancelled_leaves_and_the_next_gets_the_right_answer(client):
    for wait in (0.0, 0.001):  # before and while the answer comes
        asked = asyncio.ensure_future(client.execute_command("ECHO", "first"))
        await asyncio.sleep(wait)
        asked.cancel()
        second = await client.execute_command("ECHO", "second")
        assert second == b"second"
        assert asked.cancelled() or asked.result() == b"first"


async def test_a_cancelled_blocked_read_ends_at_once_and_its_connection_too(client):
    before = await connections(client)
    read = asyncio.ensure_future(client.execute_command("XREAD", "BLOCK", 60_000, "STREAMS", "none", "0-0"))
    while await connections(client) == before:
        await asyncio.sleep(0.01)
    assert await client.execute_command("ECHO", "meanwhile") == b"meanwhile"
    read.cancel()
    async with asyncio.timeout(10):  # and not the minute of its block
        with pytest.raises(asyncio.CancelledError):
            await read
        while await connections(client) > before:
            await asyncio.sleep(0.01)


async def test_a_server_that_hangs_is_given_up_in_time_and_found_again(valkey, client):
    await client.execute_command("PING")
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(4 * TIMEOUT_SECONDS):
            answers = await asyncio.gather(
                *(client.execute_command("PING") for _ in range(10)), return_exceptions=True
            )
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    assert all(isinstance(answer, RedisError) for answer in answers)
    assert await client.execute_command("ECHO", "back") == b"back"


async def test_a_server_that_was_killed_fails_what_waits_and_is_found_again(valkey, client):
    await client.execute_command("PING")
    waits = asyncio.ensure_future(client.execute_command("XREAD", "BLOCK", 9000, "STREAMS", "none", "0-0"))
    await asyncio.sleep(0.05)
    await valkey.kill()
    with pytest.raises(RedisError):
        await waits
    with pytest.raises((RedisError, OSError)):
        await client.execute_command("PING")
    await valkey.restart()
    assert await client.execute_command("PING") == b"PONG"


async def test_it_logs_in_where_the_url_says_how(valkey, client):
    await client.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all")
    path = Address(valkey.url).path
    named = ServerClient(Address(f"unix://shop:secret@{path}?db=0"), timeout_seconds=TIMEOUT_SECONDS)
    assert await named.execute_command("ACL", "WHOAMI") == b"shop"
    await named.aclose()
    wrong = ServerClient(Address(f"unix://shop:wrong@{path}"), timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(RedisError):
        await wrong.execute_command("PING")
    await wrong.aclose()


def test_an_address_says_how_to_get_there_and_how_to_log_in():
    address = Address("rediss://shop:secret@memory.example:6380/2?ssl_cert_reqs=none")
    assert (address.host, address.port, address.path) == ("memory.example", 6380, None)
    assert address.greeting == [("AUTH", "shop", "secret"), ("SELECT", 2)]
    assert address.tls is not None
    assert not address.tls.check_hostname
    strict = Address("rediss://memory.example").tls
    assert strict is not None
    assert strict.check_hostname
    assert Address("redis://:secret@localhost").greeting == [("AUTH", "secret")]
    assert Address("redis://localhost").tls is None
