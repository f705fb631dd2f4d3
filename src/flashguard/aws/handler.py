"""`flashguard.aws.handler.handler`: the HTTP API behind an HTTP API of API Gateway, or a function URL."""

import os
from typing import Any, Final, Protocol

from .instance import Instance
from .settings import settings_on_aws

RUNTIME: Final = "AWS_LAMBDA_RUNTIME_API"
"""Is set where Lambda's runtime imports us."""


class Context(Protocol):
    """What we need of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda cuts the invocation off."""


_instance = Instance(settings_on_aws())
if RUNTIME in os.environ:
    _instance.start()


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Answers one HTTP request."""
    return _instance.answer(event, context.get_remaining_time_in_millis())
