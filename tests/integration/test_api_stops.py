"""An API that is asked to stop while it still looks for its servers."""

import signal
import subprocess
from pathlib import Path

import pytest

from flashguard.api.app import CONNECT_SECONDS
from flashguard.cli.up import FLASHGUARD
from tests.support.service import clean_env
from tests.support.up import wait_until

NO_SERVER = "127.0.0.1:1"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_api_that_still_looks_for_its_servers_ends_when_it_is_asked_to(
    tmp_path: Path, workers: str
) -> None:
    """The next `flashguard up` after one that was killed waits for this API's port."""
    log = tmp_path / "api.log"
    env = clean_env(
        FLASHGUARD_REDIS_URL=f"redis://{NO_SERVER}", FLASHGUARD_DATABASE_URL=f"postgresql://{NO_SERVER}/x",
        FLASHGUARD_ADMIN_KEY="a-key", FLASHGUARD_DATA_DIR=str(tmp_path),
    )  # fmt: skip
    command = [*FLASHGUARD, "api", "--port", "0", "--workers", workers]
    with log.open("wb") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as api:
        try:
            wait_until(lambda: log.read_text().count("retrying for up to") >= 2 * int(workers), 60)
            api.send_signal(signal.SIGTERM)
            api.wait(CONNECT_SECONDS / 4)
        finally:
            api.kill()
