"""HTTP/1.0 clients and proxies get no chunks: an answer of unknown length ends with its connection."""

import asyncio
import csv
import re
from pathlib import Path

import pytest

import flashguard.api
from tests.support.raw_http import request
from tests.support.service import ADMIN_KEY, Service
from tests.support.simulations import PATH, over, quiet

__all__ = ["quiet"]
KEPT = ("", "keep-alive")
"""Without `Connection`, and with what asks for a connection that stays."""
PATIENCE_SECONDS = 20.0


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = service.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def opened(
    service: Service, path: str, connection: str, version: str = "1.0"
) -> tuple[dict[str, str], asyncio.StreamReader, asyncio.StreamWriter]:
    """Asks, and reads the head of the answer: its headers, and the connection with the body to come."""
    reader, writer = await connect(service)
    asked = request(
        path, method="GET", version=version, Connection=connection, Authorization=f"Bearer {ADMIN_KEY}"
    )
    writer.write(asked)
    async with asyncio.timeout(PATIENCE_SECONDS):
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    assert status.split()[1] == "200", status
    return dict(line.lower().split(": ", 1) for line in lines), reader, writer


def ends_with_the_connection(head: dict[str, str]) -> bool:
    return "transfer-encoding" not in head and "content-length" not in head and head["connection"] == "close"


async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """The body, up to the end of the connection."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await reader.read(-1)).decode()
    finally:
        writer.close()


def test_these_are_all_calls_that_stream() -> None:
    """The orders as CSV, and the events of a sale, a simulation and a ticket: one test each, below."""
    streams = [
        (path.name, kind)
        for path in sorted(Path(flashguard.api.__file__).parent.rglob("*.py"))
        for kind in re.findall(r"return (StreamingResponse|EventStream)\(", path.read_text())
    ]
    assert streams == [
        ("events.py", "EventStream"), ("orders.py", "StreamingResponse"), ("simulations.py", "EventStream"),
        ("waiting_room.py", "EventStream"),
    ]  # fmt: skip


@pytest.mark.parametrize("connection", KEPT)
async def test_orders_as_csv_come_whole_and_without_chunks(service: Service, connection: str) -> None:
    sale = await service.create_sale(stock=10)
    ids = {(await service.buy(sale, f"customer-{number}")).ok(201)["id"] for number in range(3)}
    head, *rest = await opened(service, f"/v1/sales/{sale}/orders?format=csv", connection)
    assert ends_with_the_connection(head)
    assert head["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader((await whole(*rest)).splitlines()))
    assert {row["order_id"] for row in rows} == ids


@pytest.mark.parametrize("connection", KEPT)
async def test_a_sales_events_come_as_they_are(service: Service, connection: str) -> None:
    sale = await service.create_sale(stock=10)
    head, reader, writer = await opened(service, f"/v1/sales/{sale}/events", connection)
    try:
        assert ends_with_the_connection(head)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readuntil(b"\n\n") == b"retry: 1000\n\n"
            assert b"event: sale\n" in await reader.readuntil(b"\n\n")
            await service.buy(sale, "ann")
            assert b"event: stock\n" in await reader.readuntil(b"\n\n")
    finally:
        writer.close()


@pytest.mark.parametrize("connection", KEPT)
async def test_a_tickets_events_end_with_the_connection(service: Service, connection: str) -> None:
    sale = await service.create_sale(waiting_room={"mode": "fifo"})
    path = f"/v1/sales/{sale}/tickets"
    ticket = (await service.call("POST", path, {"customer": "ann"})).ok(201)["id"]
    head, *rest = await opened(service, f"{path}/{ticket}/events", connection)
    assert ends_with_the_connection(head)
    *_, last = (await whole(*rest)).strip().split("\n\n")
    assert last.startswith("event: place\n")
    assert '"status":"admitted"' in last


@pytest.mark.usefixtures("quiet")
async def test_a_simulations_events_end_with_the_connection(service: Service) -> None:
    body = {"buyers": 20, "stock": 5, "strategies": ["flashguard"]}
    id_ = (await service.admin("POST", PATH, body))["id"]
    await over(service, id_)
    for connection in KEPT:
        head, *rest = await opened(service, f"{PATH}/{id_}/events", connection)
        assert ends_with_the_connection(head)
        assert (await whole(*rest)).startswith("retry: 1000\n\nevent: simulation\n")


@pytest.mark.parametrize("connection", KEPT)
async def test_an_answer_of_known_length_says_it(service: Service, connection: str) -> None:
    sale = await service.create_sale()
    head, *rest = await opened(service, f"/v1/sales/{sale}", connection)
    body = await whole(*rest)
    assert head["connection"] == "close"
    assert int(head["content-length"]) == len(body.encode())
    assert "transfer-encoding" not in head


async def test_head_has_no_chunks_either_and_no_body(service: Service) -> None:
    sale = await service.create_sale()
    reader, writer = await connect(service)
    path = f"/v1/sales/{sale}/orders?format=csv"
    writer.write(request(path, method="HEAD", version="1.0", Authorization=f"Bearer {ADMIN_KEY}"))
    answer = await whole(reader, writer)
    assert answer.startswith("HTTP/1.1 200")
    assert "transfer-encoding" not in answer.lower()
    assert answer.endswith("\r\n\r\n")


async def test_a_client_of_1_0_is_sent_no_interim_answer(service: Service) -> None:
    """RFC 9110, 10.1.1: a server ignores `Expect: 100-continue` of an HTTP/1.0 request."""
    reader, writer = await connect(service)
    sale = await service.create_sale(stock=1)
    basket = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    kind = "application/json"
    writer.write(
        request(f"/v1/sales/{sale}/orders", basket, version="1.0", Expect="100-continue", Content_Type=kind)
    )
    assert (await whole(reader, writer)).startswith("HTTP/1.1 201")


async def test_http_1_1_still_gets_chunks_on_a_connection_that_stays(service: Service) -> None:
    sale = await service.create_sale()
    head, reader, writer = await opened(service, f"/v1/sales/{sale}/orders?format=csv", "", "1.1")
    assert head["transfer-encoding"] == "chunked"
    assert "connection" not in head
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
    writer.close()
