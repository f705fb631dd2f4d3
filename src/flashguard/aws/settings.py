"""Settings on AWS: from variables, and from Secrets Manager for secrets, which are in no variable.

The function asks the AWS Parameters and Secrets Lambda Extension, a layer that answers on this host, so that
no AWS library has to be imported. A container gets the same values from its orchestrator, as variables.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html
"""

import http.client
import json
import os
from typing import Any, Final
from urllib.parse import quote

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings

INSTALLATION: Final = "FLASHGUARD_AWS_SECRET"
"""A secret whose JSON has `admin_key` and `database_url`, and may have `redis_url` and `secrets_key`."""
MEMORY: Final = "FLASHGUARD_AWS_MEMORY"
"""Host and port of a cluster's configuration endpoint, which uses TLS."""
MEMORY_SECRET: Final = "FLASHGUARD_AWS_MEMORY_SECRET"  # noqa: S105 its name, not the secret
"""A secret whose JSON has `username` and `password`; else FLASHGUARD_AWS_MEMORY_USER and …_PASSWORD."""
EXTENSION_PORT: Final = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"
EXTENSION_SECONDS: Final = 5.0
FROM_SECRET: Final = ("admin_key", "database_url", "redis_url", "secrets_key")
"""The members of the installation's secret that become settings."""


def settings_on_aws() -> Settings:
    """Return the settings of this process, with one connection to PostgreSQL by default.

    Raises:
        ConfigurationError: a secret can't be read, or lacks a member.
    """
    given: dict[str, Any] = {}
    if "FLASHGUARD_LEDGER_CONNECTIONS" not in os.environ:
        given["ledger_connections"] = 1
    if os.environ.get(INSTALLATION):
        secret = secret_of(os.environ[INSTALLATION])
        given |= {name: secret[name] for name in FROM_SECRET if name in secret}
    if os.environ.get(MEMORY):
        given["redis_url"] = _memory_url(os.environ[MEMORY])
    return Settings(**given)


def _memory_url(place: str) -> str:
    if os.environ.get(MEMORY_SECRET):
        secret = secret_of(os.environ[MEMORY_SECRET])
    else:
        names = {"username": f"{MEMORY}_USER", "password": f"{MEMORY}_PASSWORD"}
        secret = {key: os.environ[name] for key, name in names.items() if name in os.environ}
    try:
        user, password = quote(secret["username"], safe=""), quote(secret["password"], safe="")
    except KeyError as error:
        raise ConfigurationError(f"The user of {MEMORY} lacks {error}.") from None
    return f"rediss+cluster://{user}:{password}@{place}"


def secret_of(name: str) -> dict[str, str]:
    """Return a secret's JSON.

    Raises:
        ConfigurationError: it can't be read. The message does not reveal the secret.
    """
    port = int(os.environ.get(EXTENSION_PORT, "2773"))
    connection = http.client.HTTPConnection("localhost", port, timeout=EXTENSION_SECONDS)
    try:
        connection.request(
            "GET",
            f"/secretsmanager/get?secretId={quote(name, safe='')}",
            headers={"X-Aws-Parameters-Secrets-Token": os.environ.get("AWS_SESSION_TOKEN", "")},
        )
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ConfigurationError(f"Secret {name} can't be read: the extension answers {answer.status}.")
        found: dict[str, str] = json.loads(json.loads(body)["SecretString"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise ConfigurationError(f"Secret {name} can't be read: {type(error).__name__}.") from None
    finally:
        connection.close()
    return found
