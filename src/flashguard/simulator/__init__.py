"""The concurrency simulator: real HTTP buyers who all press Buy at once, against real strategies."""

from .plan import Counters, LogLine, Plan, Report, RunFinished, RunResult
from .run import run_simulation

__all__ = ["Counters", "LogLine", "Plan", "Report", "RunFinished", "RunResult", "run_simulation"]
