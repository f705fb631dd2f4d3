"""The providers that the settings name, each imported only then."""

import importlib
from collections.abc import Mapping
from typing import Final

from flashguard.errors import ConfigurationError, how_to_install
from flashguard.settings import Settings

from .provider import Provider

BUILT_IN: Final = {
    "stripe": "flashguard.payments.stripe:Stripe",
    "signed": "flashguard.payments.signed:SignedService",
}


def providers_of(settings: Settings) -> Mapping[str, Provider]:
    """Return the providers by their names: `stripe`, `signed`, or the class's name in lower case.

    Raises:
        ConfigurationError: one can't be imported, or lacks a setting.
    """
    found: dict[str, Provider] = {}
    for text in settings.payment_providers:
        module, _, name = BUILT_IN.get(text, text).partition(":")
        try:
            kind = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if text in BUILT_IN and error.name == text:
                raise ConfigurationError(f"The payment provider `{text}`: {how_to_install(text)}") from error
            raise ConfigurationError(f"FLASHGUARD_PAYMENT_PROVIDERS: {text!r}: {error}") from error
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"FLASHGUARD_PAYMENT_PROVIDERS: {text!r}: {error}") from error
        found[text if text in BUILT_IN else name.lower()] = kind(settings)
    return found
