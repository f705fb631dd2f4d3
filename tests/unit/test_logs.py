"""Nothing that comes from outside makes a line of the log of its own."""

import logging
import sys

from flashguard.telemetry.logs import TEXT, OneLine

FORGED = "ann\n2026-01-01 00:00:00 INFO flashguard: all is well\r\x1b[2J\u2028\u202e\x85"


def line_of(record: logging.LogRecord) -> str:
    record.request = ""
    return OneLine(TEXT).format(record)


def test_a_message_is_one_line_of_visible_characters() -> None:
    record = logging.LogRecord("flashguard", logging.INFO, "f", 1, "customer %s", (FORGED,), None)
    line = line_of(record)
    assert line.isprintable()
    assert line.endswith(r"ann\n2026-01-01 00:00:00 INFO flashguard: all is well\r\x1b[2J\u2028\u202e\x85")


def test_plain_text_stays_as_it_is() -> None:
    record = logging.LogRecord("flashguard", logging.INFO, "f", 1, "佐々木 – Ünï", (), None)
    assert line_of(record).endswith("INFO flashguard: 佐々木 – Ünï")


def test_a_traceback_keeps_its_lines_and_begins_none_of_the_logs() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord("flashguard", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    first, *others = line_of(record).split("\n")
    assert first.endswith("ERROR flashguard: failed")
    assert any("Traceback" in other for other in others)
    for other in others:
        assert other.startswith("  ")
        assert other.isprintable()
