"""Checks that production must pass before it starts."""

from typing import Final

from flashguard.errors import ConfigurationError
from flashguard.settings import Mode, Settings

MIN_SECRET: Final = 24
"""Characters; 24 of base64 are 144 bits."""
MIN_DIFFERENT: Final = 8
"""Different characters; "aaaa…" and "123123…" have fewer, a random secret has more."""
WELL_KNOWN: Final = ("change", "example", "secret", "password", "default", "placeholder", "your-")
"""Pieces of the secrets that documentation shows and operators forget to replace."""
HOW_TO: Final = "Make one with: python3 -c 'import secrets; print(\"fg_admin_\" + secrets.token_urlsafe(24))'"


def check_production(settings: Settings) -> None:
    """Check that production has a secret that can't be guessed. Development takes any secret.

    Raises:
        ConfigurationError: the secret is weak; the message says why, and never shows the secret.
    """
    if settings.mode is not Mode.PRODUCTION:
        return
    if settings.admin_key is None:
        raise ConfigurationError(f"In production FLASHGUARD_ADMIN_KEY must be set. {HOW_TO}")
    wrong = weakness(settings.admin_key.get_secret_value())
    if wrong is not None:
        raise ConfigurationError(
            f"In production FLASHGUARD_ADMIN_KEY must be hard to guess: {wrong}. {HOW_TO}"
        )


def weakness(secret: str) -> str | None:
    """Return why a secret is too easy to guess; None when it is not."""
    if len(secret) < MIN_SECRET:
        return f"it is shorter than {MIN_SECRET} characters"
    if len(set(secret)) < MIN_DIFFERENT:
        return f"it has fewer than {MIN_DIFFERENT} different characters"
    if any(word in secret.lower() for word in WELL_KNOWN):
        return "it looks like an example's"
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return "it has characters that a header can't carry"
    return None
