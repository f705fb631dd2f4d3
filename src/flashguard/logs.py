"""What the logs look like: lines for people or JSON for machines, each with the request it is about."""

from contextvars import ContextVar
from logging import Filter, Formatter, LogRecord
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


def visible(text: str) -> str:
    """Return the text with every character that is not printable, a new line too, as its escape sequence."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


class OneLine(Formatter):
    """Formats a record as one line, whatever it quotes; the lines of a traceback follow, indented.

    So nothing that comes from outside can begin a line of the log, move a terminal's cursor or hide itself.
    """

    def formatMessage(self, record: LogRecord) -> str:  # noqa: N802
        record.message = visible(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join(f"  {visible(line)}" for line in text.splitlines())


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
            "text": {"()": OneLine, "fmt": TEXT},
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
