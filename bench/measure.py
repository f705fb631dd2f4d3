"""One measurement: load a target, wait until it is done, and read what that cost."""

import secrets
from collections.abc import Awaitable, Callable, Sequence

from bench import wrk
from bench.cpu import Meter
from bench.house import Target
from bench.rows import Row
from bench.say import Progress

US = 1_000_000
WARM_SECONDS = 1
WARM_CONNECTIONS = 32
MORE_TIME = 10
"""Times a turn is longer, of a target that answered nothing."""

Committed = Callable[[], Awaitable[int]]


def variables(target: Target) -> dict[str, str]:
    """Return the script's variables, with names that no other run uses."""
    return {"RUN": secrets.token_hex(3)} | target.variables


async def closed_loop(
    scenario: str,
    target: Target,
    *,
    connections: int,
    seconds: int,
    round_: int = 0,
    committed: Committed | None = None,
) -> Row:
    """Send as many requests as the target answers; each connection sends the next after the last answer.

    A target that answered nothing has more time, once: without an answer there is nothing to compare.
    """
    row, _ = await counted_loop(
        scenario, target, connections=connections, seconds=seconds, round_=round_, committed=committed
    )
    if not row.answers:
        row, _ = await counted_loop(
            scenario, target, connections=connections, seconds=MORE_TIME * seconds, round_=round_,
            committed=committed,
        )  # fmt: skip
    return row


async def counted_loop(
    scenario: str,
    target: Target,
    *,
    connections: int,
    seconds: int,
    round_: int = 0,
    committed: Committed | None = None,
) -> tuple[Row, wrk.Count]:
    """Do the same, and return wrk's counts too."""
    before = await committed() if committed else 0
    meter = Meter(target.parts)
    await meter.settle()
    meter.start()
    count = await wrk.run(
        target.url, target.script, variables(target), connections=connections, seconds=seconds
    )
    meter.client_done()
    await meter.settle()
    spent = meter.stop()
    done = await committed() - before if committed else None
    good = sum(count.answers.get(word, 0) for word in target.good)
    everything = sum(count.answers.values())
    # Answers, or commits if known: connections that wrk cut off cost CPU too.
    work = max(done or 0, everything, 1)
    row = Row(
        scenario=scenario, target=target.name, connections=connections, round=round_,
        seconds=round(count.seconds, 3), per_second=round(good / count.seconds, 1), answers=count.answers,
        errors=everything - good + sum(count.broken.values()),
        p50_ms=round(count.p50_ms, 2), p99_ms=round(count.p99_ms, 2), committed=done,
        cpu_us={part: round(seconds_ / work * US, 2) for part, seconds_ in spent.items()}
        | {"client": round(meter.client_seconds / max(everything, 1) * US, 2)},
        others_cores=round(meter.others_cores, 2),
    )  # fmt: skip
    return row, count


async def warm(targets: Sequence[Target]) -> None:
    """Load each target for a second, so that connections, plans and caches exist."""
    for target in targets:
        await wrk.run(
            target.url, target.script, variables(target), connections=WARM_CONNECTIONS, seconds=WARM_SECONDS
        )


async def rounds(
    scenario: str,
    targets: Sequence[tuple[Target, Committed | None]],
    *,
    connections: int,
    seconds: int,
    times: int,
    progress: Progress,
) -> list[Row]:
    """Measure every target once per round, in reverse order in odd rounds."""
    rows: list[Row] = []
    for round_ in range(times):
        for target, committed in targets if round_ % 2 == 0 else reversed(targets):
            progress.doing(f"{scenario}: {target.name}, {connections:,} connections, round {round_ + 1}")
            row = await closed_loop(
                scenario, target, connections=connections, seconds=seconds, round_=round_, committed=committed
            )
            rows.append(row)
            progress.did(row)
    return rows
