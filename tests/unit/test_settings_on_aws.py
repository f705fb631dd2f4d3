"""Settings on AWS: secrets from the extension that answers on localhost, in no variable and in no message."""

import http.server
import json
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pytest

from flashguard.aws.settings import settings_on_aws
from flashguard.errors import ConfigurationError

SECRETS = {
    "arn:aws:secretsmanager:x:0:secret:installation": {
        "admin_key": "fg_admin_0123456789-abcdefghijkl", "database_url": "postgresql://u:p@db/x",
    },
    "arn:aws:secretsmanager:x:0:secret:memory": {"username": "flashguard", "password": "a/b@c:d"},
}  # fmt: skip


class Extension(http.server.BaseHTTPRequestHandler):
    """As the AWS Parameters and Secrets Lambda Extension documents itself."""

    def do_GET(self) -> None:
        name = parse_qs(urlparse(self.path).query)["secretId"][0]
        known = name in SECRETS and self.headers["X-Aws-Parameters-Secrets-Token"] == "session"
        body = json.dumps({"SecretString": json.dumps(SECRETS.get(name))}).encode()
        self.send_response(200 if known else 400)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A function's variables, with an extension that answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Extension)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", str(server.server_port))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    for name, value in (("SECRET", "installation"), ("MEMORY_SECRET", "memory")):
        monkeypatch.setenv(f"FLASHGUARD_AWS_{name}", f"arn:aws:secretsmanager:x:0:secret:{value}")
    monkeypatch.setenv("FLASHGUARD_AWS_MEMORY", "cache.example:6379")
    yield monkeypatch
    server.shutdown()
    server.server_close()


def test_secrets_become_settings_and_the_memorys_user_a_part_of_its_address(variables):
    settings = settings_on_aws()
    assert settings.admin_key is not None
    assert settings.admin_key.get_secret_value().startswith("fg_admin_")
    assert settings.database_url == "postgresql://u:p@db/x"
    assert settings.redis_url == "rediss+cluster://flashguard:a%2Fb%40c%3Ad@cache.example:6379"
    assert settings.ledger_connections == 1


def test_a_container_gets_the_memorys_user_by_variables(variables):
    variables.delenv("FLASHGUARD_AWS_SECRET")
    variables.delenv("FLASHGUARD_AWS_MEMORY_SECRET")
    with pytest.raises(ConfigurationError, match="username"):
        settings_on_aws()
    variables.setenv("FLASHGUARD_AWS_MEMORY_USER", "flashguard")
    variables.setenv("FLASHGUARD_AWS_MEMORY_PASSWORD", "secret")
    variables.setenv("FLASHGUARD_LEDGER_CONNECTIONS", "2")
    settings = settings_on_aws()
    assert settings.redis_url == "rediss+cluster://flashguard:secret@cache.example:6379"
    assert settings.ledger_connections == 2


def test_a_secret_that_cant_be_read_is_told_without_it(variables):
    variables.setenv("AWS_SESSION_TOKEN", "another")
    with pytest.raises(ConfigurationError, match="answers 400") as told:
        settings_on_aws()
    assert "fg_admin_" not in str(told.value)
