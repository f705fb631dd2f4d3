"""Delivers webhooks after the Standard Webhooks specification; the recorder writes the messages."""

from .endpoints import Endpoint, NewEndpoint
from .store import Webhooks

__all__ = ["Endpoint", "NewEndpoint", "Webhooks"]
