"""An encrypted way to the ledger: who answers is looked at, and what is wrong is said in one sentence."""

import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flashguard.errors import ConfigurationError
from flashguard.ledger import Ledger, LedgerAway
from tests.support.stacks import folder, program
from tests.support.stacks.redis7_pg15 import Postgres15

ADDRESS = f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(1, 250)}"
"""Of the server, whose port is fixed: one that nobody else listens at."""
OTHER_ADDRESS = ADDRESS.rpartition(".")[0] + ".251"
"""The server's, too, but the certificate says nothing of it."""
PLAIN_ADDRESS = ADDRESS.rpartition(".")[0] + ".252"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(place: Path, *words: str) -> None:
    subprocess.run([program("openssl"), *words], cwd=place, check=True, capture_output=True)


def make_certificates(place: Path) -> None:
    """Two authorities, and the server's certificate, signed by one of them."""
    for name in ("right", "wrong"):
        openssl(place, "req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
    openssl(place, "req", *KEY, "-subj", "/CN=ledger", "-addext", f"subjectAltName=IP:{ADDRESS}",
            "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    openssl(place, "x509", "-req", "-in", "server.csr", "-CA", "right.crt", "-CAkey", "right.key",
            "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", "server.crt")  # fmt: skip
    (place / "no-certificate.crt").write_text("nothing of the kind\n")


class OverTls(Postgres15):
    """Debian's server, at addresses of its own. (The embedded one is built without encryption.)"""

    certificates: Path

    async def _prepare(self) -> list[str | Path]:
        command = await super()._prepare()
        options = {"listen_addresses": f"{ADDRESS},{OTHER_ADDRESS}", "ssl": "on"}
        for option, name in {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}.items():
            path = self.certificates / name
            path.chmod(0o600)
            if self.account is not None:
                shutil.chown(path, self.account.uid, self.account.gid)
            options[option] = str(path)
        return [*command, *(word for option in options.items() for word in ("-c", "=".join(option)))]


class WithoutTls(Postgres15):
    async def _prepare(self) -> list[str | Path]:
        return [*await super()._prepare(), "-c", f"listen_addresses={PLAIN_ADDRESS}"]


@pytest.fixture(scope="module")
async def certificates() -> AsyncIterator[Path]:
    with folder() as place:
        make_certificates(place)
        server = OverTls(place / "data")
        server.certificates = place
        try:
            await server.start()
            yield place
        finally:
            await server.stop()


def url(options: str) -> str:
    return f"postgresql://flashguard@{ADDRESS}:5432/flashguard?{options}"


async def is_encrypted(address: str) -> bool:
    ledger = await Ledger.connect(address)
    try:
        async with ledger.connection() as connection:
            return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    finally:
        await ledger.close()


async def test_a_connection_is_encrypted_with_a_server_that_the_authority_vouches_for(
    certificates: Path,
) -> None:
    assert await is_encrypted(url("sslmode=require"))
    assert await is_encrypted(url(f"sslmode=verify-full&sslrootcert={certificates / 'right.crt'}"))
    assert not await is_encrypted(url("sslmode=disable"))


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("wrong.crt", "its certificate is not trusted"),
        ("no-certificate.crt", "is sslrootcert a certificate"),
    ],
)
async def test_a_server_that_nobody_vouches_for_is_refused_in_one_sentence(
    certificates: Path, file: str, says: str
) -> None:
    with pytest.raises(LedgerAway, match=says) as caught:
        await Ledger.connect(url(f"sslmode=verify-full&sslrootcert={certificates / file}"))
    assert "\n" not in str(caught.value)


async def test_a_certificate_of_another_host_is_refused(certificates: Path) -> None:
    """The right authority, the wrong name: whoever has another certificate of it can't stand in."""
    other = url(f"sslmode=verify-full&sslrootcert={certificates / 'right.crt'}")
    with pytest.raises(LedgerAway, match="its certificate is not trusted"):
        await Ledger.connect(other.replace(ADDRESS, OTHER_ADDRESS))


async def test_a_server_without_encryption_is_refused_when_it_was_asked_for() -> None:
    with folder() as place:
        server = WithoutTls(place / "data")
        try:
            await server.start()
            with pytest.raises(LedgerAway, match="asks for encryption"):
                await Ledger.connect(url("sslmode=require").replace(ADDRESS, PLAIN_ADDRESS))
        finally:
            await server.stop()


async def test_a_certificate_that_is_missing_is_named_and_not_waited_for() -> None:
    with pytest.raises(ConfigurationError, match=r"sslrootcert names /nowhere/ca\.crt"):
        await Ledger.connect(url("sslmode=verify-full&sslrootcert=/nowhere/ca.crt"))
    with pytest.raises(LedgerAway, match="name the certificate to trust"):
        await Ledger.connect(url("sslmode=verify-full"))
