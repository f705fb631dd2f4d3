"""`flashguard.aws.handler.handler`: the HTTP API behind an HTTP API of API Gateway, or a function URL."""

import os
from typing import Any, Final

from .context import LambdaContext
from .instance import Instance
from .settings import settings_on_aws

RUNTIME: Final = "AWS_LAMBDA_RUNTIME_API"
"""Set where Lambda's runtime imports this module."""


_instance = Instance(settings_on_aws())
if RUNTIME in os.environ:
    _instance.start()


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request."""
    return _instance.answer(event, context.get_remaining_time_in_millis())
