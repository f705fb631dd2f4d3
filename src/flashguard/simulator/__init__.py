"""The concurrency simulator: real HTTP buyers who all buy at the same moment, against real strategies."""

from .plan import LiveCounters, LogLine, Plan, RunFinished, RunResult, SimulationReport
from .run import run_simulation

__all__ = [
    "LiveCounters",
    "LogLine",
    "Plan",
    "RunFinished",
    "RunResult",
    "SimulationReport",
    "run_simulation",
]
