"""Payment providers by the settings, and how long they keep a session."""

import importlib.util
import sys

import pytest

from flashguard.errors import ConfigurationError
from flashguard.payments.payments import session_seconds
from flashguard.payments.providers import providers_of
from flashguard.settings import Settings

HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize("hold_seconds", [1, HOUR, 23 * HOUR, DAY, 7 * DAY])
def test_a_session_outlives_every_hold_within_the_least_and_the_most_of_stripe(hold_seconds: int):
    seconds = session_seconds(Settings(max_hold_seconds=hold_seconds))
    assert 1800 < seconds < DAY
    asked_again_at_the_end_of_the_hold = seconds - hold_seconds
    assert asked_again_at_the_end_of_the_hold > 1800 or hold_seconds >= 23.5 * HOUR


@pytest.mark.parametrize(
    "given", [{}, {"stripe_key": "sk_x"}, {"stripe_key": "sk_x", "stripe_webhook_secret": ""}]
)
def test_stripe_without_its_secrets_is_refused(given: dict[str, str]):
    if importlib.util.find_spec("stripe") is None:
        pytest.skip("stripe is not installed")
    with pytest.raises(ConfigurationError, match="FLASHGUARD_STRIPE_WEBHOOK_SECRET"):
        providers_of(Settings(payment_providers=("stripe",), **given))


def test_a_provider_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match="paypal"):
        providers_of(Settings(payment_providers=("paypal:Paypal",)))


def test_without_its_library_stripe_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "stripe", None)
    monkeypatch.delitem(sys.modules, "flashguard.payments.stripe", raising=False)
    with pytest.raises(ConfigurationError, match=r"extra `stripe`: `pip install '\.\[stripe\]'`"):
        providers_of(Settings(payment_providers=("stripe",)))
