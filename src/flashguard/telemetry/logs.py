"""The format of the logs: text for people or JSON for machines, each line with its request's id."""

import logging
import sys
from contextvars import ContextVar
from logging import Filter, Formatter, LogRecord
from types import TracebackType
from typing import Any, Final

import msgspec
from pythonjsonlogger.json import JsonFormatter

REQUEST_ID: Final[ContextVar[bytes | None]] = ContextVar("flashguard_request_id", default=None)
"""The id of the request that is being answered; work for many requests at once has none."""

_RESERVED: Final = (
    *vars(LogRecord("", 0, "", 0, "", None, None)),
    *("message", "asctime", "request", "color_message"),
)
"""Attributes of a record that are not fields of its JSON line: `request` is for text lines, `color_message`
is uvicorn's."""
TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s%(request)s"


class AboutRequest(Filter):
    """Adds the request's id to every record that is logged while the request is answered."""

    def filter(self, record: LogRecord) -> bool:
        request_id = (REQUEST_ID.get() or b"").decode()
        record.request = f" [{request_id}]" if request_id else ""
        if request_id:
            record.request_id = request_id
        return True


def visible(text: str) -> str:
    """Return the text with unprintable characters, including new lines, as escape sequences."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


class OneLine(Formatter):
    """Formats a record as one line, whatever text it quotes; the lines of a traceback follow, indented.

    So text from outside can't start a log line, move a terminal's cursor or hide itself.
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


def _json_formatter() -> JsonFormatter:
    return JsonFormatter(
        ["levelname", "name", "message"],
        style=",",
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=_RESERVED,
        timestamp=True,
    )


def json_line(logger: str, text: str) -> str:
    """Return the text as a JSON log line; unchanged where it is already a JSON object."""
    if text.startswith("{"):
        try:
            msgspec.json.decode(text, type=dict)
            return text
        except (msgspec.DecodeError, UnicodeError):
            pass
    return _json_formatter().format(LogRecord(logger, logging.INFO, "", 0, text, None, None))


def set_up(level: str, form: str) -> None:
    """Set up the logs of this process; in JSON, also for Python's warnings and an uncaught exception."""
    import logging.config

    logging.config.dictConfig(log_config(level, form))
    if form == "json":
        logging.captureWarnings(True)
        sys.excepthook = _log_end


def in_json() -> bool:
    """Return whether this process logs in JSON."""
    return sys.excepthook is _log_end


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("flashguard").critical(
        "uncaught exception; the process ends", exc_info=(kind, error, traceback)
    )


def log_config(level: str, form: str) -> dict[str, Any]:
    """Return the `logging` configuration for FlashGuard's loggers and uvicorn's.

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
            "json": {"()": _json_formatter},
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
