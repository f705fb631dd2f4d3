"""What the service under test runs on: the embedded servers, or real counterparts of production.

`FLASHGUARD_TEST_STACK` chooses a module here by its name (`make contract-NAME` sets it). Each module has
`running()`, an async context manager of a `Stack`; `LACKS`, where it has that, names what tests that say
`@pytest.mark.needs(…)` can't have there.
"""

import importlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flashguard.ledger import Ledger

PARTITIONS = 16
EMBEDDED = "embedded"
"""The stack of a session that asks for none: its servers are a fixture, which other tests share."""
ONE_SERVER = "one memory server"
ONE_PROCESS = "requests that meet in one process"


@dataclass(frozen=True)
class Stack:
    """Where memory and ledger are, and how the service is run on them."""

    redis_url: str
    database_url: str
    env: Mapping[str, str] = field(default_factory=dict)
    """More settings of recorder and API."""
    api: Callable[[Mapping[str, str]], AbstractAsyncContextManager[str]] | None = None
    """Runs the API with these variables and gives its address; None: `flashguard api`."""


def chosen() -> str:
    """The module of the stack that this session runs on."""
    name = os.environ.get("FLASHGUARD_TEST_STACK", EMBEDDED).replace("-", "_")
    return f"{name}_" if name == "lambda" else name


def lacks() -> frozenset[str]:
    """What the chosen stack can't give."""
    if chosen() == EMBEDDED:
        return frozenset()
    return getattr(importlib.import_module(f"tests.support.stacks.{chosen()}"), "LACKS", frozenset())


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:
    """The chosen stack, its ledger migrated."""
    async with importlib.import_module(f"tests.support.stacks.{chosen()}").running() as stack:
        yield stack


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that every account can pass: as root, PostgreSQL runs as another one."""
    path = Path(tempfile.mkdtemp(prefix="fg-test-", dir="/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def migrate(database_url: str) -> None:
    """Makes the ledger ready."""
    ledger = await Ledger.connect(database_url)
    try:
        await ledger.migrate(PARTITIONS)
    finally:
        await ledger.close()


def program(name: str, *places: str) -> Path:
    """A program of this machine; without it the tests that need it are skipped, and say so."""
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        pytest.skip(f"there is no {name} here")
    return Path(found)
