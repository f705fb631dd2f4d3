"""The secrets that the ledger keeps: how each is kept, and encrypted with the newest key."""

from collections import Counter

from msgspec import Struct

from .admin_log import AdminAction, note
from .connections import Connections
from .sealing import Sealer, SealState
from .sql import query


class KeptSecret(Struct, frozen=True):
    """A secret as the ledger has it."""

    column: str
    """`webhook`, `old webhook` or `signing key`."""
    id: str
    kept: bytes
    is_needed: bool
    """Whether something stops without it: a replaced or revoked one may be lost."""

    @property
    def owner(self) -> str:
        """The name of its row."""
        return f"{self.column.removeprefix('old ')}:{self.id}"

    def __repr__(self) -> str:
        return f"KeptSecret({self.owner})"


class SecretBook:
    """Reads and encrypts all secrets. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections, sealer: Sealer) -> None:
        self._connections = connections
        self._sealer = sealer

    async def _all(self) -> list[KeptSecret]:
        rows = await self._connections.rows("kept_secrets")
        return [KeptSecret(row["kind"], row["id"], row["kept"], row["is_needed"]) for row in rows]

    async def how(self) -> dict[SealState, list[KeptSecret]]:
        """Return how the ledger keeps its secrets."""
        found: dict[SealState, list[KeptSecret]] = {kept: [] for kept in SealState}
        for secret in await self._all():
            found[self._sealer.how(secret.kept, secret.owner)].append(secret)
        return found

    async def encrypt(self, action: AdminAction) -> Counter[SealState]:
        """Encrypt with the newest key what is plain, or encrypted with an older one; return how each was.

        A secret that changes meanwhile stays as its writer left it. What can't be decrypted stays as it is,
        and counts only where it is needed.
        """
        counts: Counter[SealState] = Counter()
        secrets = await self._all()
        async with self._connections.connection() as connection, connection.transaction():
            for each in secrets:
                how = self._sealer.how(each.kept, each.owner)
                opened = self._sealer.open(each.kept, each.owner)
                counts[how] += each.is_needed or how is not SealState.UNREADABLE
                if opened is not None and how is not SealState.SEALED:
                    sealed = self._sealer.seal(opened, each.owner)
                    await connection.execute(query("replace_secret"), each.column, each.id, each.kept, sealed)
            action.about("", **{str(how): count for how, count in counts.items()})
            await note(connection, action)
        return counts
