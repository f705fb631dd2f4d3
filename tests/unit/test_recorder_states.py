"""The machine of a partition's recorder: which state follows which, for every state and event."""

import pytest

from flashguard.recorder.states import (
    DEFECT_SECONDS,
    OTHER_RECORDER_SECONDS,
    PAUSE_SECONDS_LEAST,
    PAUSE_SECONDS_MOST,
    TRANSITIONS,
    Away,
    Defect,
    Doubt,
    End,
    Event,
    Failed,
    Fenced,
    Finished,
    HandingOver,
    HandOver,
    Lost,
    Older,
    Outrun,
    Paused,
    Rebuilding,
    Recording,
    Sound,
    Starting,
    State,
    Waiting,
    Working,
    after,
    doubt_of,
    pause_of,
    work_of,
)

WORKING: list[Working] = [
    Starting(),
    Recording(),
    Rebuilding(Doubt("a", 1.0)),
    Fenced("older", None),
    Waiting("away", 0.1, None),
    Paused(Recording(), 0.25),
]
EVENTS: list[Event] = [
    Sound(), Lost("b", 2.0), Older("older"), Outrun(), Away("away"), Failed("refused"), Defect()
]  # fmt: skip


def test_every_event_of_the_table_leads_somewhere_from_every_state() -> None:
    assert set(TRANSITIONS) == {type(event) for event in EVENTS}
    for state in WORKING:
        for event in EVENTS:
            assert not isinstance(after(state, event), HandingOver | Finished)


@pytest.mark.parametrize("state", WORKING)
def test_it_records_only_when_memory_was_found_sound(state: Working) -> None:
    for event in EVENTS:
        recording = isinstance(work_of(after(state, event)), Recording)
        assert recording == isinstance(event, Sound)


@pytest.mark.parametrize("state", WORKING)
def test_a_doubt_lasts_until_memory_is_sound(state: Working) -> None:
    now: State = after(state, Lost("b", 2.0))
    doubt = doubt_of(now)
    assert doubt is not None
    for event in (Away("away"), Older("older"), Outrun(), Failed("refused"), Defect(), Lost("c", 3.0)):
        now = after(now, event)
        assert doubt_of(now) == doubt, event
    assert doubt_of(after(now, Sound())) is None


def test_the_first_certain_doubt_stays_and_counts_from_when_it_was_noticed() -> None:
    guess = after(Starting(), Lost("by comparison", 1.0, certain=False))
    assert doubt_of(guess) == Doubt("by comparison", 1.0, certain=False)
    certain = after(guess, Lost("counters differ", 5.0))
    assert doubt_of(certain) == Doubt("counters differ", 1.0)
    assert doubt_of(after(certain, Lost("another", 7.0))) == Doubt("counters differ", 1.0)
    assert doubt_of(after(certain, Lost("by comparison", 7.0, certain=False))) == Doubt(
        "counters differ", 1.0
    )


def test_a_server_that_is_away_is_asked_again_after_a_pause_that_doubles_up_to_its_bound() -> None:
    state: State = Starting()
    pauses = []
    for _ in range(5):
        state = after(state, Away("away"))
        pauses.append(pause_of(state))
    assert pauses[:2] == [PAUSE_SECONDS_LEAST, 2 * PAUSE_SECONDS_LEAST]
    assert pauses[-1] == PAUSE_SECONDS_MOST
    assert pause_of(after(state, Failed("refused"))) == DEFECT_SECONDS
    assert pause_of(after(state, Lost("b", 2.0))) == PAUSE_SECONDS_MOST, "it is still away"
    assert pause_of(after(state, Sound())) == 0.0


def test_it_steps_back_for_another_recorder_and_says_what_it_did_before() -> None:
    for state in WORKING:
        now = after(state, Outrun())
        assert pause_of(now) == OTHER_RECORDER_SECONDS
        assert now.label == state.label
        assert after(now, Outrun()) == now


@pytest.mark.parametrize("state", WORKING)
def test_handing_over_goes_on_working_and_ends_when_another_recorder_is_faster(state: Working) -> None:
    giving = after(state, HandOver())
    assert giving == HandingOver(state)
    assert giving.label == state.label
    assert after(giving, HandOver()) == giving
    for event in EVENTS:
        if isinstance(event, Outrun | Older):
            assert after(giving, event) == Finished()
        else:
            assert after(giving, event) == HandingOver(TRANSITIONS[type(event)](state, event))


def test_nothing_leads_out_of_the_end() -> None:
    for state in (*WORKING, HandingOver(Recording())):
        assert after(state, End()) == Finished()
    for event in (*EVENTS, HandOver(), End()):
        assert after(Finished(), event) == Finished()
