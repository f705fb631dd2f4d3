"""Says why PostgreSQL can't be reached, in one sentence that names what to change."""

import os
import ssl
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from flashguard.errors import ConfigurationError

NO_TLS: Final = "rejected SSL upgrade"
"""asyncpg's text for a server without TLS."""
FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def why_away(error: BaseException) -> str:
    """Return the sentence for an error that ended a connection or an attempt to connect."""
    return f"PostgreSQL: {_encryption(error) or error or type(error).__name__}"


def _encryption(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): sslrootcert in "
            "FLASHGUARD_DATABASE_URL must name the certificate that signed it, and the host must be "
            "spelled as in it"
        )
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection ({error.reason or error}): is sslrootcert a certificate?"
    if isinstance(error, asyncpg.ClientConfigurationError) and "certificate" in str(error):
        return "name the certificate to trust: sslrootcert=FILE in FLASHGUARD_DATABASE_URL"
    if isinstance(error, ConnectionError) and NO_TLS in str(error):
        return "FLASHGUARD_DATABASE_URL asks for encryption (sslmode), and the server offers none"
    return None


def check_files(url: str) -> None:
    """Check that the files in the address can be read: asyncpg's error does not name the file.

    Raises:
        ConfigurationError: a file can't be read.
    """
    for name, values in parse_qs(urlsplit(url).query).items():
        if name in FILES and not os.access(values[-1], os.R_OK):
            raise ConfigurationError(
                f"FLASHGUARD_DATABASE_URL: {name} names {values[-1]}, which can't be read here."
            )
