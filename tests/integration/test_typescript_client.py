"""The TypeScript client, against the real service over a line that fails: its own tests, run from here."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.faulty import FaultyLine
from tests.support.service import ADMIN_KEY

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
BUILT = CLIENT / "dist" / "index.js"


needs_the_built_client = pytest.mark.skipif(
    shutil.which("node") is None or not BUILT.exists(),
    reason="the TypeScript client is not built (make tsclient)",
)


@needs_the_built_client
async def test_the_typescript_client_keeps_the_same_promises(service):
    async with FaultyLine(service.url).open() as line:
        env = os.environ | {"FLASHGUARD_URL": line.url, "FLASHGUARD_KEY": ADMIN_KEY}
        command = ["npm", "test", "--silent"]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=CLIENT, env=env, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
