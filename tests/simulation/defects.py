"""What the code itself says of a run that should not happen: exceptions and errors in its log."""

import logging
import traceback

from tests.simulation.world import World


class Defects(logging.Handler):
    """Collects what the code itself says should not happen: exceptions in the log, and errors, which only a
    server that lost something explains."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        self.errors: list[str] = []
        self.world: World | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.world is not None:
            self.world.log(record.getMessage()[:200])
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            lines = traceback.format_exception(record.exc_info[1])
            self.found.append(f"{record.getMessage()}: {''.join(lines)[-1500:]}")
