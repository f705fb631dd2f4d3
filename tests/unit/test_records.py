"""What a rebuild writes into memory can be read from memory again."""

import pytest

from flashguard.kernel.records import read_record, record_blob
from flashguard.recorder.load_records import parked_record

PARKED = {"id": "0" * 24, "created_ms": 1_700_000_000_000}


@pytest.mark.parametrize("entry", [True, False])
def test_a_parked_record_can_be_read_again(entry: bool) -> None:
    """It once lacked a value, and `recover` could read no record of its sale."""
    _, record = parked_record(PARKED | {"entry": entry})
    assert read_record(record_blob(record)) == record
