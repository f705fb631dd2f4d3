"""What browsers see live: changes, encoded once and fanned out to all who view."""

from flashguard.live.channel import Channel, Viewer
from flashguard.live.hub import Ending, Full, Hub
from flashguard.live.source import Snapshot, Source
from flashguard.live.sse import event

__all__ = ["Channel", "Ending", "Full", "Hub", "Snapshot", "Source", "Viewer", "event"]
