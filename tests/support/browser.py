"""A real browser for the pages: Debian's Chromium, and visitors that notice whatever a page complains of.

The shell that is built to run without a screen costs half of the CPU of the whole browser: the same engine of
the same version, without windows, profiles and extensions.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

from tests.support.service import Service

SHELL: Final = Path("/usr/bin/chromium-headless-shell")
CHROMIUM: Final = SHELL if SHELL.exists() else Path("/usr/bin/chromium")
BUILT: Final = Path(__file__).parents[2] / "web" / "out" / "csp.json"
FLAGS: Final = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WAIT_MS: Final = 20_000
"""How long a page may take to show what it should: no test is about speed, and the machine may be busy."""

FOLDER: Final = pytest.StashKey[Path]()


class Visitor:
    """Somebody at a page, in a browser profile of their own.

    `complaints` are what must not happen on any page: an error in the console, a script that failed,
    an answer 5xx, a request that failed or went to another host.
    """

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.console: list[str] = []
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._complain(f"script error: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def expect_complaints(self, pattern: str) -> None:
        """What this visitor's test causes on purpose, and only that."""
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not any(each.search(text) for each in self._expected)]

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    async def sees(self, text: str | re.Pattern[str], timeout: float = WAIT_MS) -> None:
        """Waits until the page's main part shows this text."""
        await expect(self.page.get_by_role("main")).to_contain_text(text, timeout=timeout)

    async def save(self, folder: Path, name: str) -> None:
        """What the page looks like, and all that it said."""
        lines = [self.page.url, *self.console, "", "Complaints:", *self.complaints]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
        await self.page.screenshot(path=folder / f"{name}.png", full_page=True)

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def _said(self, message: ConsoleMessage) -> None:
        text = f"console.{message.type}: {message.text} ({message.location.get('url', '')})"
        self.console.append(text)
        if message.type in ("error", "assert"):
            self._complain(text)

    def _asked(self, request: Request) -> None:
        there = urlsplit(request.url)
        if there.scheme not in ("data", "blob") and f"{there.scheme}://{there.netloc}" != self.url:
            self._complain(f"asked another host: {request.url}")

    def _failed(self, request: Request) -> None:
        # A page that is left aborts its streams and prefetches.
        if request.failure != "net::ERR_ABORTED":
            self._complain(f"{request.method} {request.url} failed: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self._complain(f"{response.request.method} {response.url} answered {response.status}")


Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; a visitor is a profile in it."""
    if not CHROMIUM.exists():
        pytest.skip(
            f"there is no {SHELL} here: `make test` installs it as root, else: apt install {SHELL.name}"
        )
    if not BUILT.exists():
        pytest.skip("the pages are not built: `make pages` does it, with Node 20 or newer")
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=False, args=list(FLAGS)
        )
        yield started
        await started.close()


@pytest.fixture
async def visit(browser: Browser, service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """Opens a page of the running service as a new visitor: `await visit("/sale/?id=…")`.

    After the test, no visitor may have seen a complaint that it did not expect.
    """
    visitors: list[Visitor] = []

    async def open_page(path: str, *, url: str = service.url, **options: Any) -> Visitor:
        context = await browser.new_context(base_url=url, locale="en-US", timezone_id="UTC", **options)
        context.set_default_timeout(WAIT_MS)
        visitor = Visitor(context, await context.new_page(), url)
        visitors.append(visitor)
        await visitor.page.goto(path)
        return visitor

    yield open_page
    folder = request.node.stash.get(FOLDER, None)
    unexpected = [text for visitor in visitors for text in visitor.unexpected()]
    if unexpected and folder is None:
        folder = new_folder()
    if folder is not None:
        for number, visitor in enumerate(visitors, 1):
            await visitor.save(folder, f"visitor-{number}")
    await asyncio.gather(*(visitor.context.close() for visitor in visitors))
    assert not unexpected, f"the pages complained (screenshots and consoles: {folder}): {unexpected}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names the folder where `visit` puts what a failed test's pages looked like."""
    report = yield
    if report.when == "call" and report.failed and "visit" in getattr(item, "fixturenames", ()):
        folder = item.stash[FOLDER] = new_folder()
        report.sections.append(("Pages", f"Screenshots and consoles of its visitors: {folder}"))
    return report


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="flashguard-browser-"))
