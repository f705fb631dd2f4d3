"""The example shop in Django as processes of its own, on this Python's Django or on that of DJANGO_PYTHON."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.service import clean_env, stop

MANAGE: Final = Path(__file__).parents[2] / "examples" / "django_shop" / "manage.py"
PYTHON: Final = os.environ.get("DJANGO_PYTHON", sys.executable)
"""`make django` names one that has another Django."""
START_SECONDS: Final = 60.0


class DjangoShop:
    """One shop: its database is in the folder, its settings are from these variables."""

    def __init__(self, folder: Path, **env: str) -> None:
        self._log = folder / "shop.log"
        self._env = clean_env(SHOP_DATABASE=str(folder / "shop.sqlite3"), **env)
        self.child: subprocess.Popen[bytes] | None = None

    async def manage(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py to its end."""
        return await asyncio.to_thread(
            subprocess.run, [PYTHON, MANAGE, *words], env=self._env | env, capture_output=True, text=True,
            timeout=START_SECONDS, check=False,
        )  # fmt: skip

    async def run(self, code: str, **env: str) -> str:
        """Run Python in the shop; return what it printed."""
        done = await self.manage("shell", "-v", "0", "-c", code, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @asynccontextmanager
    async def serving(self, http: aiohttp.ClientSession, *options: str) -> AsyncIterator[str]:
        """Serve the shop by its one command; yield its address."""
        port = free_port()
        command = [PYTHON, MANAGE, "demo", str(port), *options]
        with self._log.open("w") as log:
            self.child = subprocess.Popen(command, env=self._env, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            assert self.child is not None
            assert self.child.poll() is None, self.said
            try:
                async with http.get(f"{url}/nothing") as answer:
                    return answer.status == 404
            except aiohttp.ClientError:
                return False

        try:
            await eventually(answers, lambda: self.said, START_SECONDS, poll_seconds=0.1)
            yield url
        finally:
            self.child.terminate()
            await stop(self.child)

    @property
    def said(self) -> str:
        return self._log.read_text()
