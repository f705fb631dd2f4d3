"""Write docs/screenshots: `.venv/bin/python docs/screenshots.py`, after `make setup` and `make pages`.

It starts a separate service with the demo sale, runs a simulation of 10,000 buyers and a few buys, and takes
the pages' pictures with Debian's Chromium. It needs a minute; a busy machine makes slow figures.
"""

import base64
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2
from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).parents[1]
PICTURES: Final = ROOT / "docs" / "screenshots"
PORT: Final = 28911
URL: Final = f"http://127.0.0.1:{PORT}"
WAIT_SECONDS: Final = 180
QUALITY: Final = 82
"""The quality of WebP, of 100."""
SIZES: Final = {
    "home": ((1440, 1000, "light"), (390, 844, "dark")),
    "storefront": ((1440, 560, "light"), (390, 600, "dark")),
    "control-room": ((1440, 1000, "light"), (390, 844, "dark")),
    "simulator": ((1440, 1330, "dark"), (390, 844, "light")),
}
"""Width, height and colours of each page's pictures: on a desk, on a phone."""


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fg-shots-"))
    folder.chmod(0o755)  # root's PostgreSQL runs as another account
    words = (ROOT / ".venv/bin/flashguard", "up", "--port", str(PORT), "--data-dir", folder / "data")
    up = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=URL, timeout=30) as http, sync_playwright() as playwright:
            until(lambda: is_open(http))
            key = (folder / "data" / "admin.key").read_text().strip()
            http.headers["Authorization"] = f"Bearer {key}"
            simulation = simulated(http)
            sell(http)
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium-headless-shell",
                chromium_sandbox=False,
                args=["--headless"],
            )
            take(browser, "home", "/")
            take(browser, "simulator", f"/simulator/?id={simulation}#key={key}", finished)
            take(browser, "control-room", f"/control/?id=demo#key={key}", audited)
            take(browser, "storefront", "/sale/?id=demo", buy)
            browser.close()
    finally:
        up.terminate()
        up.wait()
        shutil.rmtree(folder)


def until(true: Callable[[], bool]) -> None:
    """Wait until the condition is true.

    Raises:
        TimeoutError: it was not true within WAIT_SECONDS.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.5)


def is_open(http: httpx2.Client) -> bool:
    try:
        return bool(http.get("/v1/sales/demo").json().get("status") == "open")
    except httpx2.TransportError:
        return False


def simulated(http: httpx2.Client) -> str:
    """Run the simulation that the README shows; return its id once it is over."""
    plan = {"buyers": 10_000, "stock": 100, "strategies": ["naive", "flashguard"]}
    id_ = str(http.post("/v1/simulations", json=plan).raise_for_status().json()["id"])
    until(lambda: http.get(f"/v1/simulations/{id_}").json()["finished_at"] is not None)
    return id_


def sell(http: httpx2.Client) -> None:
    """Sell seven units of the demo sale, cancel one order, and hold two."""
    ids = [order(http, "orders", f"buyer-{number}") for number in range(1, 8)]
    http.post(
        f"/v1/orders/{ids[4]}/cancel", json={"restock": True, "reason": "wrong size"}
    ).raise_for_status()
    for number in (8, 9):
        order(http, "reservations", f"buyer-{number}")


def order(http: httpx2.Client, noun: str, customer: str) -> str:
    body = {"customer": customer, "items": [{"sku": "sneaker", "quantity": 1}]}
    return str(http.post(f"/v1/sales/demo/{noun}", json=body).raise_for_status().json()["id"])


def take(browser: Browser, name: str, path: str, prepare: Callable[[Page], Any] = lambda _: None) -> None:
    """Write a page's two pictures, each once it shows live figures."""
    for (width, height, colours), suffix in zip(SIZES[name], ("", "-phone"), strict=True):
        page = browser.new_page(
            base_url=URL, viewport={"width": width, "height": height}, color_scheme=colours, locale="en-US",
            timezone_id="UTC",
        )  # fmt: skip
        page.goto(path)
        page.get_by_text("all parts ok").first.wait_for()
        prepare(page)
        page.wait_for_timeout(3000)
        shot = page.context.new_cdp_session(page).send(
            "Page.captureScreenshot", {"format": "webp", "quality": QUALITY}
        )
        (PICTURES / f"{name}{suffix}.webp").write_bytes(base64.b64decode(shot["data"]))
        page.close()


def buy(page: Page) -> None:
    page.get_by_role("button", name="Buy", exact=True).click()
    page.get_by_role("button", name="Release", exact=True).wait_for()


def audited(page: Page) -> None:
    page.get_by_role("button", name="Audit", exact=True).click()
    page.get_by_text("Audited: no difference.").wait_for()


def finished(page: Page) -> None:
    page.get_by_role("button", name="Download as JSON").wait_for()


if __name__ == "__main__":
    main()
