"""`flashguard.aws.handler.handler`: the HTTP API behind an HTTP API of API Gateway, or a function URL."""

import os
from typing import Any, Final

from .context import LambdaContext
from .instance import Instance
from .settings import settings_on_aws

RUNTIME: Final = "AWS_LAMBDA_RUNTIME_API"
"""Set where Lambda's runtime imports this module."""


def _register_for_snapshots(instance: Instance) -> None:
    """Have the instance called around a snapshot, where Lambda's runtime can take one (SnapStart)."""
    try:
        from snapshot_restore_py import (  # type: ignore[import-untyped]
            register_after_restore,
            register_before_snapshot,
        )
    except ModuleNotFoundError:  # not Lambda's own runtime, or one older than Python 3.12
        return
    register_before_snapshot(instance.before_snapshot)
    register_after_restore(instance.after_restore)


_instance = Instance(settings_on_aws())
if RUNTIME in os.environ:
    _instance.start()
    _register_for_snapshots(_instance)


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request."""
    return _instance.answer(event, context.get_remaining_time_in_millis())
