"""The simulator: started by a click, and its figures are the service's own."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Locator, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import ADMIN_KEY
from tests.support.simulations import PATH, over
from tests.web.test_accessible import is_clean

SIMULATION_MS = 150_000
COUNTERS = ("Total Requests", "Successful Locks", "Inventory Oversold", "Avg Latency")


async def at_the_simulator(visit: Visit) -> Visitor:
    """A visitor who may start one."""
    visitor = await visit("/simulator/")
    await visitor.page.get_by_label("Admin key").fill(ADMIN_KEY)
    await visitor.button("Use this key").click()
    await expect(visitor.button("Start")).to_be_enabled()
    return visitor


async def start(visitor: Visitor, buyers: int, stock: int, *strategies: str) -> str:
    """Fills the form, presses Start; the id of what then runs."""
    page = visitor.page
    await page.get_by_label("Buyers").fill(str(buyers))
    await page.get_by_label("Stock").fill(str(stock))
    for box in await page.get_by_role("checkbox").all():
        await box.set_checked(await box.get_attribute("aria-label") in strategies)
    await visitor.button("Start").click()
    await page.wait_for_url("**/simulator/?id=*")
    return parse_qs(urlsplit(page.url).query)["id"][0]


async def ended(visitor: Visitor) -> None:
    """The page knows that it is over: only then can the report be taken along."""
    report = visitor.page.get_by_role("button", name="Download as JSON")
    await expect(report).to_be_visible(timeout=SIMULATION_MS)


def counter(visitor: Visitor, name: str) -> Locator:
    """A large figure."""
    return visitor.page.get_by_role("group", name=name, exact=True).locator("p").nth(1)


async def counters(visitor: Visitor) -> list[str]:
    """The four large figures, as they stand there."""
    return [await counter(visitor, name).inner_text() for name in COUNTERS]


def are_those_of(shown: list[str], run: dict) -> None:
    """The four large figures are this result's, but for the latency's rounding."""
    exact = [run[name] for name in ("total_requests", "successful_locks", "inventory_oversold")]
    assert shown[:3] == [f"{figure:,}" for figure in exact]
    latency_ms = float(shown[3].removesuffix(" ms").replace(",", ""))
    assert latency_ms == pytest.approx(run["avg_latency_ms"], rel=0.01)


@pytest.mark.timeout(240)
async def test_ten_thousand_buyers_from_the_page_end_with_100_locks_and_none_oversold(
    visit, service, quiet, tmp_path: Path
):
    visitor = await at_the_simulator(visit)
    id_ = await start(visitor, 10_000, 100, "flashguard")
    await ended(visitor)
    simulation = (await service.call("GET", f"{PATH}/{id_}")).ok()
    [run] = simulation["runs"]
    assert simulation["status"] == "finished"
    assert (simulation["buyers"], run["strategy"], run["errors"]) == (10_000, "flashguard", 0)
    assert (run["total_requests"], run["successful_locks"], run["inventory_oversold"]) == (10_000, 100, 0)
    shown = await counters(visitor)
    assert shown[:3] == ["10,000", "100", "0"]
    are_those_of(shown, run)
    await visitor.sees(f"environment: {simulation['environment']}")
    log = visitor.page.get_by_role("log").locator("p")
    assert [line["text"] for line in simulation["log"]] == [
        await line.locator("span").last.inner_text() for line in await log.all()
    ]
    assert sum(point["locks"] for point in simulation["series"]) == 100

    async with visitor.page.expect_download() as started:
        await visitor.page.get_by_role("button", name="Download as JSON").click()
    file = tmp_path / "simulation.json"
    await (await started.value).save_as(file)
    assert json.loads(file.read_text()) == simulation

    friend = await visit(urlsplit(visitor.page.url).path + f"?id={id_}")  # has the address, not the key
    await ended(friend)
    assert await counters(friend) == shown


@pytest.mark.timeout(240)
async def test_what_a_race_oversells_stands_out_beside_flashguard(visit, service, quiet, tmp_path: Path):
    visitor = await at_the_simulator(visit)
    id_ = await start(visitor, 1_000, 20, "naive", "flashguard", "Rivals behind the lane too")
    await ended(visitor)
    naive, behind_lane, flashguard = (await service.call("GET", f"{PATH}/{id_}")).ok()["runs"]
    assert [run["strategy"] for run in (naive, behind_lane, flashguard)] == [
        "naive",
        "naive+lane",
        "flashguard",
    ]
    assert naive["inventory_oversold"] > 0 == flashguard["inventory_oversold"]
    are_those_of(await counters(visitor), flashguard)
    rows = visitor.page.get_by_role("region", name="Comparison of strategies").locator("tbody tr")
    lane = "FlashGuard’s lane"
    for number, (run, behind, verdict) in enumerate(
        (
            (naive, "FastAPI", "oversold"),
            (behind_lane, lane, "oversold"),
            (flashguard, lane, "exact"),
        )
    ):
        cells = await rows.nth(number).locator("td").all_inner_texts()
        assert cells[:2] == [f"{run['strategy']}\nbehind {behind}", verdict]
        figures = ("total_requests", "successful_locks", "inventory_oversold")
        assert cells[2:5] == [f"{run[name]:,}" for name in figures]
    shown = visitor.page.get_by_role("group", name="Strategy shown")
    await shown.get_by_role("button", name="naive", exact=True).click()
    are_those_of(await counters(visitor), naive)
    for kind, begins in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        async with visitor.page.expect_download() as started:
            await visitor.page.get_by_role("button", name=f"Download as {kind}").click()
        await (await started.value).save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(begins)
    await is_clean(visitor)


@pytest.mark.timeout(240)
async def test_a_running_simulation_shows_its_figures_live_and_is_stopped_by_a_click(visit, service, quiet):
    visitor = await at_the_simulator(visit)
    id_ = await start(visitor, 5_000, 50, "row-lock", "optimistic")
    figure = counter(visitor, "Total Requests")
    await expect(figure).to_have_text(re.compile(r"^[1-9][\d,]*$"), timeout=SIMULATION_MS)
    await visitor.button("Stop").click()
    await ended(visitor)
    assert (await over(service, id_))["status"] == "stopped"
    await visitor.sees("stopped")
    page_says = int((await figure.inner_text()).replace(",", ""))
    assert 0 < page_says <= 5_000


async def test_without_the_key_nothing_can_be_started(visit, service):
    before = await service.admin("GET", PATH)
    visitor = await visit("/simulator/")
    await expect(visitor.button("Start")).to_be_disabled()
    await visitor.sees("Start needs the admin key.")
    assert await service.admin("GET", PATH) == before
