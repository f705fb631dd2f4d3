"""What the logs look like: lines for people or JSON for machines, each with the request it is about."""

from contextvars import ContextVar
from logging import Filter, LogRecord
from typing import Any, Final

REQUEST_ID: Final[ContextVar[bytes | None]] = ContextVar("flashguard_request_id", default=None)
"""The id of the request that is being answered; what is done for many requests at once has none."""

_RESERVED: Final = (
    *vars(LogRecord("", 0, "", 0, "", None, None)),
    *("message", "asctime", "request", "color_message"),
)
"""What a record has that is no field of its line: `request` is for the text, the colours are uvicorn's."""
TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s%(request)s"


class AboutRequest(Filter):
    """Adds the request's id to whatever is logged while it is answered."""

    def filter(self, record: LogRecord) -> bool:
        request_id = (REQUEST_ID.get() or b"").decode()
        record.request = f" [{request_id}]" if request_id else ""
        if request_id:
            record.request_id = request_id
        return True


def log_config(level: str, form: str) -> dict[str, Any]:
    """The configuration of the standard library's logging, for our own loggers and uvicorn's.

    Parameters:
        level: debug, info, warning or error.
        form: text or json.
    """
    ours = {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": AboutRequest}},
        "formatters": {
            "text": {"format": TEXT},
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message"],
                "style": ",",
                "rename_fields": {"levelname": "level", "name": "logger"},
                "reserved_attrs": _RESERVED,
                "timestamp": True,
            },
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": form,
                "filters": ["request"],
            }
        },
        "loggers": {"flashguard": ours, "uvicorn": ours},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }
