"""The users of deploy/valkey/users.acl, on servers of a test: nothing may be asked that they may not."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.support.stacks.nodes import Node

FILE = Path(__file__).parents[3] / "deploy" / "valkey" / "users.acl"
PASSWORD = "CHANGE-ME-{}"


def users_file(folder: Path) -> Path:
    """The file as it is, but that the harness itself may do everything."""
    folder.mkdir(parents=True, exist_ok=True)
    text = FILE.read_text().splitlines()
    rest = [line for line in text if not line.startswith("user default ")]
    place = folder / "users.acl"
    place.write_text("\n".join(["user default on nopass ~* &* +@all", *rest]) + "\n")
    return place


def as_user(url: str, user: str) -> str:
    """The URL with this user's login."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:{PASSWORD.format(user)}@{rest}"


def api_at(redis_url: str) -> Callable[[Mapping[str, str]], AbstractAsyncContextManager[str]]:
    """Runs `flashguard api` with a login of its own."""
    as_a_child = importlib.import_module("tests.support.service").api_as_a_child
    return lambda env: as_a_child({**env, "FLASHGUARD_REDIS_URL": redis_url})


async def refused(nodes: Iterable[Node]) -> list[str]:
    """What any user was refused on these servers, as ACL LOG tells."""
    found: list[str] = []
    for node in nodes:
        if node.running:
            for flat in await node.ask("ACL", "LOG"):
                entry: dict[Any, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
                words = [entry[name].decode() for name in (b"username", b"reason", b"object")]
                found.append(" ".join(words))
    return found
