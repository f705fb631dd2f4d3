"""Where a webhook may go: never into our own network, however the address is written or hidden."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from flashguard.webhooks.addresses import is_public, wrong_url
from flashguard.webhooks.messages import Message, message_id
from flashguard.webhooks.resolver import CheckedResolver, ForbiddenAddress
from flashguard.webhooks.sending import Sender
from flashguard.webhooks.signing import new_secret, signed_headers

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2001:db8::1",
    "64:ff9b:1::a00:1", "64:ff9b:1::808:808", "::10.0.0.1", "::8.8.8.8", "::ffff:0:10.0.0.1", "fec0::1",
    "fec0::", "2002:a00:1::", "2001:0:0:0:0:0:f5ff:fffe", "4000::1", "100::1", "5f00::1",
]  # fmt: skip
MESSAGE = Message(delivery=1, attempts=1, trying_seconds=0.0, id="msg_1", body=b"{}")


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_our_own_network_is_public(address: str) -> None:
    assert not is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert "FLASHGUARD_WEBHOOK_PRIVATE_ADDRESSES" in (wrong_url(f"https://{host}/", private=False) or "")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/", "ftp://shop.example/", "https://", "https://u:p@shop.example/",
        "shop.example", "https://127.1/",
        "https://shop.example/#part", "https://shop.example/\r\nX: y", "https://shop.example:99999/", "https://[::1/",
        "https://shöp.example/", f"https://shop.example/{'x' * 2048}", "file:///etc/passwd", "",
    ],
)  # fmt: skip
def test_no_message_goes_to_a_url_that_is_anything_but_plain_https(url: str) -> None:
    assert wrong_url(url, private=False)


def test_a_plain_https_url_will_do() -> None:
    assert wrong_url("https://shop.example:8443/hooks?from=flashguard", private=False) is None
    assert wrong_url("http://127.0.0.1:1/", private=True) is None


@pytest.fixture
async def listener() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on the loopback address, and who came."""
    came: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append("somebody")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came
    server.close()


async def attempted(url: str) -> str | None:
    sender = Sender(private=False, at_once=1, timeout_seconds=5.0)
    try:
        return (await sender.send(url, MESSAGE, [new_secret()])).error
    finally:
        await sender.close()


# What the C library reads as 127.0.0.1, though it does not look like it.
@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
async def test_nothing_is_sent_to_a_name_that_leads_home(listener: tuple[int, list[str]], host: str) -> None:
    port, came = listener
    error = await attempted(f"https://{host}:{port}/")
    assert error is not None
    assert error.startswith("not sent")
    assert came == []


async def test_a_name_that_answers_differently_the_second_time_changes_nothing(
    listener: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address that was looked at is the one that is connected to."""
    port, came = listener
    asked: list[str] = []

    def rebinding(host: str, *_: Any) -> list[Any]:
        asked.append(host)
        where = "192.88.99.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    monkeypatch.setattr("flashguard.webhooks.resolver.socket.getaddrinfo", rebinding)
    resolver = CheckedResolver(private=False)
    [first] = await resolver.resolve("rebinding.example", port)
    assert first["host"] == "192.88.99.1"
    with pytest.raises(ForbiddenAddress):
        await resolver.resolve("rebinding.example", port)
    await resolver.close()
    assert came == []


async def test_one_private_address_beside_a_public_one_is_enough_to_refuse(
    listener: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, came = listener
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port)) for where in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr("flashguard.webhooks.resolver.socket.getaddrinfo", lambda *_: both)
    assert (await attempted(f"https://both.example:{port}/")) == (
        "not sent: both.example is at an address that is not public; "
        "FLASHGUARD_WEBHOOK_PRIVATE_ADDRESSES=true allows it"
    )
    assert came == []


def test_a_message_is_signed_as_the_specification_says() -> None:
    old, new = new_secret(), new_secret()
    at = int(datetime.now(UTC).timestamp())
    headers = signed_headers("msg_1", at, b'{"a": 1}', [new, old])
    assert Webhook(old).verify(b'{"a": 1}', headers) == Webhook(new).verify(b'{"a": 1}', headers) == {"a": 1}
    assert (
        Webhook(new).sign("msg_1", datetime.fromtimestamp(at, UTC), '{"a": 1}')
        in headers["webhook-signature"]
    )


def test_a_message_id_names_the_fact() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    one = message_id("order.confirmed", "sale", "1", at)
    assert one == message_id("order.confirmed", "sale", "1", at)
    assert (
        len(
            {
                one,
                message_id("order.cancelled", "sale", "1", at),
                message_id("order.confirmed", "sale", "2", at),
            }
        )
        == 3
    )
