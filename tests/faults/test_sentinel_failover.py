"""Real Sentinels fail a primary over, under real load: our own client follows by itself."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.stacks import sentinel

LONG = pytest.mark.skipif(os.environ.get("FLASHGUARD_LONG") != "1", reason="make failovers")
ROOT = Path(__file__).parents[2]


@LONG
def test_a_failover_loses_doubles_and_oversells_nothing(tmp_path: Path) -> None:
    kind = ["--kind", "failover by our own Sentinel client"]
    words = ["--seed", "make-test", "--rounds", "1", *kind, "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.campaign", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rounds, 0 with a broken promise" in done.stdout


async def test_a_primary_that_hands_over_is_left_at_once_though_it_still_answers() -> None:
    """It goes on as a replica that answers reads: who stayed would read an old truth, and write nothing."""
    with stacks.folder() as place:
        async with sentinel.started(place) as watched:
            client = connect_kernel(watched.url, Settings())
            try:
                await client.execute_command("SET", "fg:{0}:x", "1")
                before = client.node_of("fg:{0}:x")
                read = asyncio.create_task(
                    client.execute_command("XREAD", "BLOCK", 20_000, "STREAMS", "fg:{0}:y", "0-0")
                )
                await watched.sentinels[0].ask("SENTINEL", "FAILOVER", sentinel.SERVICE)

                async def left() -> bool:
                    return client.link("") is None or client.node_of("fg:{0}:x") != before

                await eventually(left, "the client leaves the old primary without having asked it anything")
                await asyncio.wait([read], timeout=10)
                assert read.done(), "a read that waits in the old primary ends too"
                assert read.exception() is not None

                async def writes() -> bool:
                    return bool(await client.execute_command("SET", "fg:{0}:x", "2"))

                await eventually(writes, "the new primary takes writes")
                port = (await watched.primary()).port
                assert client.node_of("fg:{0}:x").endswith(f":{port}")
                assert not before.endswith(f":{port}")
            finally:
                await client.aclose()
