"""Hearing the recorder's announcements, from a real Valkey."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flashguard.embedded import EmbeddedValkey
from flashguard.engine import announcements
from flashguard.engine.announcements import Announcements
from flashguard.valkey.address import Address
from flashguard.valkey.connection import ServerClient

CHANNELS = ["fg:{0}:recorded", "fg:{1}:recorded"]
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
async def valkey() -> AsyncIterator[EmbeddedValkey]:
    with tempfile.TemporaryDirectory(prefix="fg-announce-", dir="/tmp") as folder:
        async with EmbeddedValkey(Path(folder)) as server:
            yield server


@pytest.fixture
async def client(valkey: EmbeddedValkey) -> AsyncIterator[ServerClient]:
    client = ServerClient(Address(valkey.url), timeout_seconds=5)
    yield client
    await client.aclose()


@pytest.fixture
async def heard(client: ServerClient) -> AsyncIterator[list[bytes]]:
    messages: list[bytes] = []
    listening = Announcements(client, CHANNELS, messages.append)
    task = asyncio.create_task(listening.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await listening.subscribed.wait()
    yield messages
    task.cancel()
    await asyncio.wait([task])


async def until_heard(
    client: ServerClient, heard: list[bytes], message: str, channel: str = CHANNELS[0]
) -> None:
    """Says it until it is heard: what is said while nobody listens is lost."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while message.encode() not in heard:
            await client.execute_command("PUBLISH", channel, message)
            await asyncio.sleep(0.02)


async def test_what_is_said_on_any_channel_is_heard_once_and_in_order(client, heard):
    for number in range(500):
        await client.execute_command("PUBLISH", CHANNELS[number % 2], str(number))
    await until_heard(client, heard, "last")
    assert heard[:500] == [str(number).encode() for number in range(500)]


async def test_a_cut_subscription_is_made_anew(client, heard):
    assert await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    await until_heard(client, heard, "after the cut", CHANNELS[1])
    assert await client.execute_command("PUBSUB", "NUMSUB", *CHANNELS) == [
        CHANNELS[0].encode(), 1, CHANNELS[1].encode(), 1,
    ]  # fmt: skip


async def test_a_server_that_hangs_is_left_and_found_again(valkey, client, heard, monkeypatch, caplog):
    monkeypatch.setattr(announcements, "SILENCE_SECONDS", 0.2)
    await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # the next wait is a short one
    await until_heard(client, heard, "before it hangs")
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "no push and no pong in time" not in caplog.text:
                await asyncio.sleep(0.05)
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    await until_heard(client, heard, "after it hung")


async def test_a_message_that_can_not_be_read_costs_only_itself(valkey, client, caplog):
    heard: list[bytes] = []

    def hear(message: bytes) -> None:
        if message == b"nonsense":
            raise ValueError(message)
        heard.append(message)

    listening = Announcements(client, CHANNELS, hear)
    task = asyncio.create_task(listening.run())
    await listening.subscribed.wait()
    await client.execute_command("PUBLISH", CHANNELS[0], "nonsense")
    await until_heard(client, heard, "sense")
    assert "can't be read" in caplog.text
    task.cancel()
    await asyncio.wait([task])
