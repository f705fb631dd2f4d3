"""The harness sends its buyers to this machine's loopback and nowhere else."""

import socket
from typing import Any

import pytest
from aiohttp import web

from tests.campaign.__main__ import main
from tests.campaign.targets.catalogue import UnknownTargetError, target_named
from tests.campaign.targets.loopback import RefusedTargetError, require_loopback
from tests.campaign.targets.web import Web
from tests.support.ports import free_port

ELSEWHERE = "93.184.216.34"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return the table of names in place of this machine's."""
    names: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: int | None, *_: Any, **__: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror(f"no {host}")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port or 0)) for ip in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://10.0.0.1:8000/",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://[::ffff:10.0.0.1]",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.evil.example",
        "http://shop.example",
        "http://half.example",
        "http://unknown.example",
        "http://2130706433",
        "http://167772161",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.1",
        "http://127.0.0.1.",
        "http://127.0.0.1@evil.example",
        "http://evil.example#@127.0.0.1",
        "http://127.0.0.1\\@evil.example",
        "http://user:word@127.0.0.1:8000",
        "http://127.0.0.1%2eevil.example",
        "http://127.0.0.1:99999",
        "http://127。0。0。1",
        "http://[fe80::1%25lo]",
        "http:///path",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "",
    ],
)
def test_what_is_not_on_the_loopback_is_refused(url: str, names: dict[str, list[str]]) -> None:
    names |= {
        "shop.example": [ELSEWHERE],
        "half.example": ["127.0.0.1", ELSEWHERE],
        "127.0.0.1.evil.example": [ELSEWHERE],
        "evil.example": [ELSEWHERE],
        "2130706433": ["127.0.0.1"],
        "127.1": ["127.0.0.1"],
    }
    with pytest.raises(RefusedTargetError):
        require_loopback(url)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://127.9.8.7", "http://127.9.8.7"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://shop.localhost:9000", "http://shop.localhost:9000"),
    ],
)
def test_what_is_on_the_loopback_is_taken(url: str, kept: str, names: dict[str, list[str]]) -> None:
    names |= {"localhost": ["127.0.0.1"], "shop.localhost": ["127.0.0.1"]}
    assert require_loopback(url) == kept


def test_an_address_elsewhere_ends_the_command_before_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "flashguard", "--url", "http://10.0.0.1:8000"]) == 2
    said = capsys.readouterr()
    assert "10.0.0.1 is not on this machine's loopback" in said.err
    assert said.out == ""


def test_a_shop_that_the_harness_starts_has_no_other_address() -> None:
    with pytest.raises(UnknownTargetError):
        target_named("naive", "http://127.0.0.1:8000")
    with pytest.raises(UnknownTargetError):
        target_named("no-such-shop")
    with pytest.raises(RefusedTargetError):
        target_named("tests.campaign.targets.flashguard_target:FlashGuardTarget", "http://10.0.0.1")


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("http://10.0.0.1/" if request.path == "/away" else "/further")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with Web(f"http://127.0.0.1:{port}") as shop:
            for path in ("/away", "/near"):
                assert (await shop.call("POST", path, {})).status == 307
            with pytest.raises(RefusedTargetError):
                await shop.call("GET", "@10.0.0.1/")
    finally:
        await runner.cleanup()
    assert asked == ["/away", "/near"]


async def test_a_name_that_leads_elsewhere_later_is_refused(names: dict[str, list[str]]) -> None:
    names["shop.example"] = ["127.0.0.1"]
    async with Web("http://shop.example:9000") as shop:
        names["shop.example"] = [ELSEWHERE]
        with pytest.raises(RefusedTargetError):
            await shop.call("GET", "/")


def test_a_shop_that_does_not_answer_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["--target", "flashguard", "--url", f"http://127.0.0.1:{port}"]) == 2
    said = capsys.readouterr()
    assert f"Cannot connect to host 127.0.0.1:{port}" in said.err
    assert said.err.count("\n") == 1
