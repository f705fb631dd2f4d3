"""What browsers see live: changes, encoded once and fanned out to all who view."""

from .channel import Channel, Viewer
from .hub import Ending, Full, Hub
from .source import Snapshot, Source
from .sse import event

__all__ = ["Channel", "Ending", "Full", "Hub", "Snapshot", "Source", "Viewer", "event"]
