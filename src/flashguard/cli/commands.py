"""All commands. Each is imported when it is called or listed: a process that serves buyers imports nothing of
the others, and waits for none of them."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

COMMANDS: Final = (
    "up", "api", "recorder", "deliverer", "migrate", "simulate", "audit", "doctor", "recover", "prune",
    "bench", "sale", "orders", "payments", "facts", "room", "shadow", "webhooks", "keys", "admin-log",
    "secrets",
)  # fmt: skip
"""Each is the file of this name (`_` for `-`), whose `app` is one command of the same name, or a group."""


class _Files(Mapping[str, Any]):
    """The commands by name, read from their files."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        app = import_module(f".{name.replace('-', '_')}", __package__).app
        group = typer.main.get_group(app)
        group.name = name
        return group.commands[name] if [*group.commands] == [name] else group

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class CommandsByFile(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Files()  # type: ignore[assignment] # nothing changes them
