"""Live views: changes, encoded once and sent to every viewer."""

from .channel import Channel, Viewer
from .hub import Ending, Full, Hub
from .source import Snapshot, Source
from .sse import event

__all__ = ["Channel", "Ending", "Full", "Hub", "Snapshot", "Source", "Viewer", "event"]
