"""Serves a rival like the product, but with uvicorn's own protocol."""

import sys

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 16_384


def serve(app: ASGIApp | str, *, workers: int = 1) -> None:
    """Serve on the port in the first argument until stopped.

    Parameters:
        app: the application, or where its factory is: needed for several workers.
    """
    uvicorn.run(
        app, factory=isinstance(app, str), workers=workers,
        host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="warning", backlog=BACKLOG, timeout_graceful_shutdown=2,
    )  # fmt: skip
