"""Delivers webhooks after the Standard Webhooks specification; the recorder writes the messages."""

from .deliverer import Deliverer
from .endpoints import Endpoint, NewEndpoint
from .store import Webhooks

__all__ = ["Deliverer", "Endpoint", "NewEndpoint", "Webhooks"]
