"""Every call keeps to the contract at /openapi.json, whatever is sent: schemathesis asks the running service.

In production mode, so that a call that lets in somebody without a key is found; in development mode, where
the contract says which calls need none. In both, schemathesis does all that it does by default: every phase,
every check, data that the contract allows and data that it forbids. Only the examples are bounded. The short
form asks the same in every run; `make schemathesis` asks thousands, at random.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.service import ADMIN_KEY
from tests.support.streams import another_api, stream

CONFIG = Path(__file__).parents[1] / "schemathesis.toml"
LONG = bool(os.environ.get("FLASHGUARD_LONG"))
SHORT = ("--max-examples=1", "--generation-deterministic")
THOUSANDS = (f"--max-examples={os.environ.get('EXAMPLES', '60')}", "--generation-database=none")
MANY_CASES = 5_000


@pytest.mark.timeout(3_000 if LONG else 600)
@pytest.mark.parametrize("mode", ["production", "development"])
async def test_the_running_service_keeps_to_its_contract_whatever_is_sent(service, http, tmp_path, mode):
    sale = await service.create_sale()
    async with (
        another_api(service, http, FLASHGUARD_MODE=mode, FLASHGUARD_MAX_VIEWERS="1") as running,
        stream(running, f"/v1/sales/{sale}/events"),  # so that the next stream gets an answer that ends
    ):
        program = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={CONFIG}",
            "run",
            f"{running.url}/openapi.json",
            f"--header=Authorization: Bearer {ADMIN_KEY}",
            "--continue-on-failure",
            "--no-color",
            *(THOUSANDS if LONG else SHORT),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=16 * 1024 * 1024,  # a line may show a whole body
        )
        said = ""
        assert program.stdout is not None
        while line := (await program.stdout.readline()).decode():
            said += line
            if LONG:
                print(line, end="", flush=True)
        await program.wait()
    generated = re.search(r"(\d+) generated", said)
    assert program.returncode == 0, said
    assert generated is not None, said
    assert int(generated[1]) >= MANY_CASES, said
