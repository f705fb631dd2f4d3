"""What tests of a visitor's whole way share: `flashguard up` with its stand-in, and a keyboard."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from playwright.async_api import expect

from flashguard.embedded.admin_key import keep_admin_key
from tests.support.browser import Visitor
from tests.support.service import Service
from tests.support.up import READY, Up

TABS_MOST: Final = 60


@asynccontextmanager
async def up_for_visitors(http: aiohttp.ClientSession, **env: str) -> AsyncIterator[Service]:
    """`flashguard up` with the demo sale and the stand-in for payments, as a service."""
    folder = Path(tempfile.mkdtemp(prefix="fg-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with Up(folder, "--port", "0", **env) as up:
            await asyncio.to_thread(up.wait_for, READY)
            run = up.run()
            servers: Any = SimpleNamespace(redis_url=run.redis_url, database_url=run.database_url)
            service = Service(run.url, servers, http)
            service.admin_key = keep_admin_key(up.data_dir)
            yield service
    finally:
        shutil.rmtree(folder)


async def press(visitor: Visitor, name: str | re.Pattern[str]) -> None:
    """Reach a button or link by the Tab key, unless it has the focus, and press Enter."""
    wanted = visitor.page.get_by_role("button", name=name).or_(visitor.page.get_by_role("link", name=name))
    await expect(wanted.first).to_be_enabled()
    for _ in range(TABS_MOST):
        if await wanted.first.evaluate("it => it.getRootNode().activeElement === it"):
            await visitor.page.keyboard.press("Enter")
            return
        await visitor.page.keyboard.press("Tab")
    raise AssertionError(f"{TABS_MOST} times Tab do not lead to {name}")
