"""Traces, where they are wanted: off unless FLASHGUARD_TRACES is set and OpenTelemetry is installed."""

from typing import TYPE_CHECKING

from flashguard.errors import ConfigurationError, how_to_install

if TYPE_CHECKING:
    from .otel import Traces


def traces_of(wanted: bool, service: str) -> "Traces | None":
    """The traces of this process, sent as OpenTelemetry's own variables (OTEL_…) say; None when unwanted.

    Parameters:
        service: this process's name, where OTEL_SERVICE_NAME gives none.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if not wanted:
        return None
    try:
        from .export import exporting
    except ImportError as error:
        raise ConfigurationError(
            f"FLASHGUARD_TRACES needs OpenTelemetry; {how_to_install('otel')}."
        ) from error
    return exporting(service)
