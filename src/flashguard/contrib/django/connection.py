"""The connection to FlashGuard: one per process."""

import os
import threading

from flashguard.client import Client, Retry, Shadow

from .conf import shop_settings

_lock = threading.Lock()
_clients: dict[int, Client] = {}
_shadows: dict[str, Shadow] = {}


def client() -> Client:
    """Return this process's connection: `Client` with the address and key of the settings.

    Raises:
        ImproperlyConfigured: the settings are missing or wrong.
    """
    process = os.getpid()  # servers fork, and a connection must not be shared
    found = _clients.get(process)
    if found is None:
        with _lock:
            found = _clients.get(process)
            if found is None:
                chosen = shop_settings()
                found = _clients[process] = Client(
                    chosen.url,
                    chosen.key,
                    retry=Retry(most_seconds=chosen.most_seconds),
                    timeout_seconds=chosen.most_seconds,
                )
    return found


def shadow() -> Shadow | None:
    """Return the connection that reports to the shadow sale of the settings; None if they name none."""
    chosen = shop_settings()
    if chosen.shadow is None:
        return None
    with _lock:
        if chosen.shadow not in _shadows:
            _shadows[chosen.shadow] = Shadow(chosen.url, chosen.key, chosen.shadow)
        return _shadows[chosen.shadow]


def close() -> None:
    """Close the connections; the next call opens new ones."""
    with _lock:
        for opened in _clients.values():
            opened.close()
        for reporter in _shadows.values():
            reporter.close()
        _clients.clear()
        _shadows.clear()
