"""Proof of work costs a stranger the work, and the service one derivation in a thread and a few hashes."""

import asyncio
import hashlib
import threading
import time
from typing import Any

import altcha
import pytest

from flashguard.engine.receipts import Signer
from flashguard.errors import Code
from flashguard.model import CustomerId, Refused, SaleId, SaleStatus, WaitingRoom
from flashguard.waiting import proof_of_work
from flashguard.waiting.proof_of_work import HARDEST, MAX_CHALLENGES, NO_PROOF, Proofs, tries

SALE = SaleId("drop")
ADA = CustomerId("ada")


class AnySale:
    """What of a sale a challenge depends on."""

    status = SaleStatus.OPEN
    room = None
    waiting_room = WaitingRoom(proof_of_work=True, proof_tries=3)


def proofs() -> Proofs:
    async def read(_: SaleId) -> Any:
        return AnySale()

    return Proofs(Signer("ab" * 32), None, CustomerId, read)  # type: ignore[arg-type]


def solved(challenge: dict[str, Any], **changed: Any) -> str:
    asked = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(asked)
    assert solution is not None
    for name, value in changed.items():
        setattr(solution, name, value)
    return altcha.Payload(asked, solution).to_base64()


async def test_a_solution_takes_at_most_twice_the_tries_and_every_number_below() -> None:
    mine = proofs()
    counters = set()
    for _ in range(60):
        asked = altcha.Challenge.from_dict(await mine.challenge(SALE, ADA))
        solution = altcha.solve_challenge(asked)
        assert solution is not None
        counters.add(solution.counter)
    assert counters == set(range(2 * AnySale.waiting_room.proof_tries))


async def test_to_verify_derives_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = proofs()
    challenge = await mine.challenge(SALE, ADA)
    assert ADA not in challenge["parameters"]["data"].values(), "a digest: short and plain for any id"
    good, wrong = solved(challenge), solved(challenge, derived_key="00" * 32)
    unsigned = {**challenge["parameters"]}
    del unsigned["keySignature"]
    older = altcha.create_challenge(  # signed here, but without its key's signature
        "SCRYPT", 1024, memory_cost=8, key_prefix="", data=mine._names(SALE, ADA),
        expires_at=int(time.time()) + 60, hmac_secret=mine._secret,
    )  # fmt: skip

    def derive(*_: object, **__: object) -> bytes:
        raise AssertionError("derived a key")

    payload = altcha.Payload(
        altcha.Challenge.from_dict({"parameters": unsigned, "signature": challenge["signature"]}),
        altcha.Solution(0, "00" * 32),
    )
    bad = (wrong, payload.to_base64(), altcha.Payload(older, altcha.Solution(1, "00")).to_base64())
    monkeypatch.setattr(hashlib, "scrypt", derive)
    name, until_ms = mine.verify(SALE, ADA, good)
    assert name == f"proof {challenge['parameters']['nonce']}"
    assert until_ms == challenge["parameters"]["expiresAt"] * 1000
    assert mine.verify(SaleId("other"), ADA, good) == NO_PROOF
    assert mine.verify(SALE, CustomerId("bob"), good) == NO_PROOF
    for text in bad:
        assert mine.verify(SALE, ADA, text) == NO_PROOF


async def test_a_solution_that_comes_too_late_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_of_work, "SOLVE_SECONDS", -1)
    mine = proofs()
    assert mine.verify(SALE, ADA, solved(await mine.challenge(SALE, ADA))) == NO_PROOF


async def test_challenges_are_made_in_one_thread_and_refused_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    makers, going_on = set(), threading.Event()
    create = altcha.create_challenge

    def slowly(*arguments: Any, **more: Any) -> Any:
        makers.add(threading.current_thread())
        assert going_on.wait(30)
        return create(*arguments, **more)

    monkeypatch.setattr(altcha, "create_challenge", slowly)
    mine = proofs()
    asked = [asyncio.create_task(mine.challenge(SALE, ADA)) for _ in range(MAX_CHALLENGES)]
    await asyncio.sleep(0)  # each asks
    beyond = await mine.challenge(SALE, ADA)
    assert isinstance(beyond, Refused)
    assert beyond.code is Code.OVERLOADED
    assert beyond.retry_after_seconds
    going_on.set()
    assert not any(isinstance(each, Refused) for each in await asyncio.gather(*asked))
    assert len(makers) == 1
    assert threading.main_thread() not in makers
    assert not isinstance(await mine.challenge(SALE, ADA), Refused)
    mine.close()


def test_a_crowd_makes_it_harder_in_proportion_up_to_a_bound() -> None:
    room = WaitingRoom(proof_tries=100, proof_harder_at=1_000)
    assert [tries(room, waiting) for waiting in (0, 1_000, 1_500, 5_000)] == [100, 100, 150, 500]
    assert tries(room, 10**9) == 100 * HARDEST
    assert tries(WaitingRoom(proof_tries=100), 10**9) == 100
