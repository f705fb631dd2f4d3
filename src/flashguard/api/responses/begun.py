"""What a hot call is between its request and its answer."""

from collections.abc import Callable, Coroutine
from typing import Any

from flashguard.engine.selling import Sell

from .encoded import Encoded

Work = Coroutine[Any, Any, Encoded]
Answer = Encoded | Work
"""The answer to a call, or the work that makes it."""
Begun = Encoded | Sell | Callable[[], Work]
"""A call that has begun: its answer, or what it asks the kernel, or work that is to be started."""
