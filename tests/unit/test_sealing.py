"""A secret at rest is opened by its key, in its row, as it was written, and by nothing else."""

import builtins
import random
from typing import Any

import pytest

from flashguard.errors import ConfigurationError
from flashguard.ledger.sealing import SealState, new_key, sealer_of
from tests.fuzz.streams import damaged

SECRET = b"whsec_c2VjcmV0"
ROW = "webhook:one"


def test_a_sealed_secret_is_opened_with_any_of_the_keys_that_are_there():
    old, new = new_key(), new_key()
    sealed = sealer_of(old).seal(SECRET, ROW)
    assert SECRET not in sealed
    both = sealer_of(f"{new},{old}")
    assert (both.how(sealed, ROW), both.open(sealed, ROW)) == (SealState.OLDER, SECRET)
    again = both.seal(SECRET, ROW)
    assert both.how(again, ROW) is SealState.SEALED
    assert sealer_of(old).how(again, ROW) is SealState.UNREADABLE
    assert both.seal(SECRET, ROW) != again


def test_a_sealed_secret_opens_nothing_in_another_row_or_changed():
    sealer = sealer_of(new_key())
    sealed = sealer.seal(SECRET, ROW)
    assert sealer.how(sealed, "webhook:two") is SealState.UNREADABLE
    for seed in range(3_000):
        changed = damaged(random.Random(seed), sealed)
        if changed != sealed and changed.startswith(b"fgs1."):
            assert sealer.open(changed, ROW) in (None, SECRET), changed  # base64 has bits to spare


def test_a_key_without_the_library_is_a_clear_mistake_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    whole = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return whole(name, *more, **named)

    key = new_key()
    monkeypatch.setattr(builtins, "__import__", without)
    assert sealer_of(None).seal(SECRET, ROW) == SECRET
    with pytest.raises(ConfigurationError, match=r"\[secrets\]"):
        sealer_of(key)
