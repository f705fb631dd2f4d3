"""The parts of `make peers` that need no peer: what is installed, and the page."""

import dataclasses
import json
import re
from pathlib import Path

import asyncpg
import pytest

from tests.campaign.peers import TEXT, Report, page
from tests.campaign.targets.database import LoopbackPostgres
from tests.campaign.targets.medusa_target import MedusaTarget
from tests.campaign.targets.node_peer import PLANS, NotInstalledError, peers_folder
from tests.campaign.targets.rush import Plan
from tests.campaign.targets.table import Measured
from tests.campaign.targets.target import About
from tests.campaign.targets.verdict import judge
from tests.support.ledgers import put_ledger
from tests.support.up import folder

__all__ = ["folder"]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("plan", sorted(PLANS.glob("*/package.json")), ids=lambda plan: plan.parent.name)
def test_a_peer_is_pinned_to_exact_versions(plan: Path) -> None:
    versions = json.loads(plan.read_text())["dependencies"].values()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)


def test_peers_are_installed_outside_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASHGUARD_PEERS", raising=False)
    assert not peers_folder().is_relative_to(ROOT)


async def test_a_peer_that_is_not_installed_says_how(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHGUARD_PEERS", str(folder))
    target = MedusaTarget()
    with pytest.raises(NotInstalledError, match="make peers"):
        await target.start(folder)
    await target.stop()


async def test_a_peer_reaches_its_database_by_tcp_on_the_loopback(folder: Path) -> None:
    put_ledger(folder / "data")
    async with LoopbackPostgres(folder / "data") as server:
        assert server.host.startswith("127.")
        connection = await asyncpg.connect(server.tcp_url)
        assert await connection.fetchval("SELECT host(inet_server_addr())") == server.host
        await connection.close()


def test_the_page_has_a_row_for_each_run_and_what_each_shop_promises() -> None:
    about = About(
        "Shop", "1.2.3", "one process", "No unit twice.", "https://shop.example/docs", False, False, True
    )
    plan = Plan(buyers=5, units=2)
    figures = judge(plan, about, [], [], 2)
    measured = [
        Measured(
            target="shop", about=dataclasses.asdict(about), plan=dataclasses.asdict(each), rounds=(figures,)
        )
        for each in (plan, dataclasses.replace(plan, lost=0.2))
    ]
    text = page(Report({"machine": "2 cores"}, tuple(measured)))
    assert text.count("| Shop | 1.2.3 | 5 | 2 | 0 |") == 2
    assert "| Shop | one process | No unit twice. | [its documentation](https://shop.example/docs) |" in text
    assert "- machine: 2 cores" in text
    assert not re.search(r"\{\w+\}", text)
    assert set(re.findall(r"\{(\w+)\}", TEXT.read_text())) == {"answered", "lost", "promises", "environment"}
