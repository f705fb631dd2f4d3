"""Reads memory in the middle of a run, and judges its history: the ledger follows one, and no process is
answered from one that is over."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from flashguard.kernel import keys
from flashguard.kernel.verbs import Verb, script_source
from tests.campaign.checker import Violation
from tests.simulation.valkey import Valkey

EMPTY: Final = b"\xa0"
"""The status of a script's reply that decided, packed."""
READ_HASHES: Final = """
local found = {}
for i = 1, #ARGV do
  local names = redis.call('KEYS', ARGV[i])
  for n = 1, #names do found[#found + 1] = {names[n], redis.call('HGETALL', names[n])} end
end
return found
"""
Place = tuple[int, int, str]
"""Epoch, number and token of an entry."""
_values = msgspec.msgpack.Decoder(list[msgspec.Raw])
_number = msgspec.msgpack.Decoder(int)
_text = msgspec.msgpack.Decoder(str)
LOADS: Final = hashlib.sha1(script_source(Verb.LOAD).encode(), usedforsecurity=False).hexdigest().encode()
"""The script that writes a rebuild's pages, as callers name it."""


def hashes(server: Valkey, *patterns: str) -> dict[str, dict[bytes, bytes]]:
    """Return all hashes whose keys match, in one step, by their keys in order."""
    found = sorted(server.ask("EVAL", READ_HASHES, 0, *patterns))
    return {key.decode(): dict(zip(flat[::2], flat[1::2], strict=True)) for key, flat in found}


def continues(server: Valkey, partition: int, before: Place, now: Place) -> bool:
    """Return whether the entries between two positions of the ledger chain; True if memory lacks one."""
    epoch, seq, link = before
    first, last = f"{epoch}-{seq + 1}", f"{epoch}-{now[1]}"
    entries = [fields for _, fields in server.ask("XRANGE", keys.journal(partition), first, last)]
    if epoch != now[0] or len(entries) != now[1] - seq or not entries or entries[-1][1].decode() != now[2]:
        return True
    for _, token, _, previous, *_ in entries:
        if previous.decode() != link:
            return False
        link = token.decode()
    return True


def judge_call(
    note: Callable[[Violation], None], server: Valkey, process: str, command: list[bytes], answer: bytes
) -> None:
    """Check that no script decided for a caller that has seen a newer epoch, and that a rebuild writes only
    while its partition is closed to buyers."""
    if command[0].upper() != b"EVALSHA" or not answer.startswith(b"$"):
        return
    count = int(command[2])
    if not count or not command[3].endswith(b":partition"):
        return
    status, epoch, *_ = _values.decode(answer[answer.index(b"\r\n") + 2 : -2])
    if bytes(status) != EMPTY:
        return
    said = _values.decode(command[3 + count])
    if process.startswith("api"):
        seen = _number.decode(said[1])
        if _number.decode(epoch) < seen:
            what = f"{process} had seen epoch {seen}, and was answered from {_number.decode(epoch)}"
            note(Violation("an epoch that is over", what))
    elif command[1] == LOADS:
        step, fence = (_text.decode(each) for each in _values.decode(bytes(said[4]))[:2])
        stands = server.ask("HGET", command[3], "fence") if fence else None
        if fence and stands != fence.encode():
            what = f"{process} wrote a page ({step}) of a rebuild of epoch {fence}, the fence is {stands}"
            note(Violation("an open partition rebuilt", what))
