"""Metrics for CloudWatch, which reads them from a log: one line of JSON in its embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import time
from collections.abc import Callable
from typing import Final

from flashguard.recorder import Recorder
from flashguard.recorder.status import RecorderState

NAMESPACE: Final = "FlashGuard"
UNITS: Final = {
    "LagSeconds": "Seconds",
    "LagEntries": "Count",
    "FencedPartitions": "Count",
    "Recorders": "Count",
    "RefusedByLedger": "Count",
}
"""The metrics with alarms in deploy/aws/template.yaml."""


class MetricLines:
    """Formats one recorder process's metrics since the previous line.

    Parameters:
        clock: seconds since the Unix epoch.
    """

    def __init__(self, service: str, clock: Callable[[], float] = time.time) -> None:
        self._service = service
        self._clock = clock
        self._refused_before = 0.0

    def line(self, recorder: Recorder, state: RecorderState) -> str:
        """Return the line of this moment."""
        refused = next(
            family.samples[0].value
            for family in recorder.meters.families({})
            if family.name.endswith("recorder_refused_total")
        )
        values = {
            "LagSeconds": round(state.lag_seconds, 3),
            "LagEntries": state.lag_entries,
            "FencedPartitions": len(state.fenced),
            "Recorders": state.recorders,
            "RefusedByLedger": refused - self._refused_before,
        }
        self._refused_before = refused
        metrics = [{"Name": name, "Unit": unit} for name, unit in UNITS.items()]
        about = {"Namespace": NAMESPACE, "Dimensions": [["Service"]], "Metrics": metrics}
        return json.dumps(
            {
                "_aws": {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [about]},
                "Service": self._service,
                **values,
                "Fenced": {str(partition): why for partition, why in state.fenced.items()},
            }
        )
