"""Traces: off unless FLASHGUARD_TRACES is set, which requires OpenTelemetry."""

from typing import TYPE_CHECKING

from flashguard.errors import ConfigurationError, how_to_install

if TYPE_CHECKING:
    from .otel import Traces


def traces_of(wanted: bool, service: str) -> "Traces | None":
    """Return the traces of this process, exported as OpenTelemetry's variables (OTEL_…) say; None when they
    are off.

    Parameters:
        service: the name of this process where OTEL_SERVICE_NAME is not set.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if not wanted:
        return None
    try:
        from .export import exporting
    except ImportError as error:
        raise ConfigurationError(
            f"FLASHGUARD_TRACES requires OpenTelemetry; {how_to_install('otel')}."
        ) from error
    return exporting(service)
