"""What the framework and the lane share."""

from typing import TYPE_CHECKING

from flashguard.access.identities import Identities
from flashguard.api.middleware.rate_limit import Limits
from flashguard.doctor.production import check_production
from flashguard.guard import FlashGuard
from flashguard.ledger.sealing import sealer_of
from flashguard.settings import Settings
from flashguard.telemetry.metrics import Answers
from flashguard.telemetry.tracing import traces_of

from .access import Callers

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces


class Shared:
    """One process's settings, meters and identities.

    Parameters:
        traces: replace those that the settings configure.

    Raises:
        ConfigurationError: production mode with a secret that is missing or easy to guess.
    """

    def __init__(self, settings: Settings, traces: "Traces | None" = None) -> None:
        check_production(settings)
        self.settings = settings
        self.answers = Answers()
        self.sealer = sealer_of(settings.secrets_key.get_secret_value() if settings.secrets_key else None)
        self.identities = Identities(sealer=self.sealer)
        self.traces = traces or traces_of(settings.traces, "flashguard-api")
        self.callers = Callers(settings, self.identities)
        self.limits = Limits(settings)
        self.guard: FlashGuard | None = None
        """Set while the process is connected; AWS Lambda connects before it has an application."""
