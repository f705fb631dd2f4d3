"""Every call keeps to the contract at /openapi.json, whatever is sent: schemathesis asks the running service.

In production mode, so that a call that lets in somebody without a key is found; in development mode, where
the contract says which calls need none. The short form asks the same in every run, in development mode only
what the contract allows: what it forbids is refused in both modes by the same code. `make schemathesis` asks
thousands, at random, in both.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.service import ADMIN_KEY
from tests.support.streams import another_api

CONFIG = Path(__file__).parents[1] / "schemathesis.toml"
LONG = bool(os.environ.get("FLASHGUARD_LONG"))
SHORT = ("--max-examples=1", "--generation-deterministic", "--phases=examples,coverage,stateful")
ALLOWED = ("--mode=positive",)
THOUSANDS = (
    f"--max-examples={os.environ.get('EXAMPLES', '60')}",
    "--generation-database=none",
    "--phases=examples,coverage,fuzzing,stateful",
)
MANY_CASES = 1_000
MANY_MORE = 3_000
STREAMS = "/events$"
"""An open event stream has no end to wait for; tests/integration/test_live.py looks at these."""


@pytest.mark.timeout(3_000 if LONG else 600)
@pytest.mark.parametrize("mode", ["production", "development"])
async def test_the_running_service_keeps_to_its_contract_whatever_is_sent(service, http, tmp_path, mode):
    async with another_api(service, http, FLASHGUARD_MODE=mode) as running:
        program = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={CONFIG}",
            "run",
            f"{running.url}/openapi.json",
            f"--header=Authorization: Bearer {ADMIN_KEY}",
            "--checks=all",
            f"--exclude-path-regex={STREAMS}",
            "--continue-on-failure",
            "--no-color",
            *(THOUSANDS if LONG else (*SHORT, *(ALLOWED if mode == "development" else ()))),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await program.communicate())[0].decode()
    generated = re.search(r"(\d+) generated", said)
    print(said[said.find("= SUMMARY =") :])
    assert program.returncode == 0, said
    assert generated is not None, said
    assert int(generated[1]) >= (MANY_MORE if LONG else MANY_CASES), said
