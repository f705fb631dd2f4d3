"""One measurement with our own load generators."""

from collections import Counter
from collections.abc import Mapping

from bench.children import Generators
from bench.cpu import Meter
from bench.measure import US
from bench.rows import Row
from flashguard.simulator.tally import percentile


async def generated(
    scenario: str, target: str, children: Generators, parts: Mapping[str, int], *, good: str = "granted"
) -> Row:
    """Measure one turn of the children. Their CPU is the row's "client": for the library, the product's.

    Parameters:
        parts: the processes whose CPU is read beside theirs.
        good: the answer that the scenario expects.
    """
    meter = Meter(parts)
    await meter.settle()
    meter.start()
    said = await children.work()
    meter.client_done(sum(report["cpu_seconds"] for report in said))
    await meter.settle()
    answers: Counter[str] = Counter()
    for report in said:
        answers.update(report["answers"])
    everything = max(1, answers.total())
    seconds = max(report["seconds"] for report in said)
    latencies = sorted(ms for report in said for ms in report["latencies_ms"])
    return Row(
        scenario=scenario, target=target, seconds=round(seconds, 3),
        per_second=round(answers[good] / seconds, 1), answers=dict(+answers),
        errors=answers.total() - answers[good],
        p50_ms=percentile(latencies, 0.5), p99_ms=percentile(latencies, 0.99),
        cpu_us={part: round(spent / everything * US, 2) for part, spent in meter.stop().items()}
        | {"client": round(meter.client_seconds / everything * US, 2)},
        others_cores=round(meter.others_cores, 2),
        more={"script_calls": sum(report.get("script_calls", 0) for report in said)},
    )  # fmt: skip
