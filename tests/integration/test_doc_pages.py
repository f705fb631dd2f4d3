"""Every page of the documentation works as printed, alone, beside `make run`, in a folder of its own."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doc_pages import PAGE_SECONDS, PAGES, ROOT, blocks, differences, run_page
from tests.support.up import READY, Up

RUNS = [page for page in PAGES if any(block.runs for block in blocks(page))]


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """What `make run` starts. The pages share it: each has sales of its own, so that one id is used once."""
    folder = Path(tempfile.mkdtemp(prefix="fg-docs-", dir="/tmp"))
    folder.chmod(0o755)  # root's PostgreSQL runs as another account
    with Up(folder, "--port", "0") as running:
        running.wait_for(READY)
        yield running
    shutil.rmtree(folder)


@pytest.mark.timeout(PAGE_SECONDS + 60)
@pytest.mark.parametrize("page", RUNS)
def test_the_page_works_as_printed(page: str, up: Up, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / ".flashguard").symlink_to(up.data_dir)
    for shown, said in run_page(page, up.run(), tmp_path, up.output):
        assert not differences(shown, said), f"{shown.name} shows otherwise than:\n{said}"


def test_no_fence_of_the_other_kind_hides_a_block() -> None:
    for page in PAGES:
        assert "~~~" not in (ROOT / page).read_text(), page
