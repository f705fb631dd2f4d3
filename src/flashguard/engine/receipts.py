"""Reservation ids and signed receipts, derived from the installation's secret."""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

from flashguard.model import CustomerId, Key, Line, ReservationId, SaleId
from flashguard.model.locations import counter_at

ID_BYTES: Final = 12
SIGNATURE_BYTES: Final = 16


class IdKind(Enum):
    """What a derived id names. Its label is BLAKE2b's `person` (at most 16 bytes): ids of two kinds are
    digests of two different functions, so that no choice of sale, customer or key makes them meet."""

    __hash__ = object.__hash__  # on the hot path: an enumeration's own hash is a call of Python

    RESERVATION = b"reservation"
    WAITING_ENTRY = b"waiting entry"
    TICKET = b"ticket"
    CHALLENGE = b"challenge"
    SIMULATION = b"simulation"
    SIGNING_KEY = b"signing key"
    AMEND = b"amend"
    PAYMENT = b"payment"
    IDENTITY = b"identity"


class Receipt(Struct, array_like=True, frozen=True):
    """The proof of a hold, signed: a buyer can show it after memory lost the hold."""

    id: ReservationId
    customer: CustomerId
    lines: tuple[tuple[str, int], ...]
    created_ms: int
    expires_ms: int


class AmendedReceipt(Receipt, array_like=True, frozen=True, omit_defaults=True):
    """The proof of a hold that was amended, has a reference, metadata, identities or prices to show, or units
    of locations: with the fingerprint of its first request, and its revision.

    Parameters:
        places: where the units of each line are: whether the line names its location, then location, units,
            location, units, …; empty where none is of a location.
        identities: what limits by identity count it by.
        prices: of its items, by sku, as far as they have changed.
    """

    fingerprint: int = 0
    revision: int = 0
    places: tuple[tuple[Any, ...], ...] = ()
    reference: str | None = None
    """For an order from a hold that memory and ledger lost. It gets no metadata: they are up to 10,000
    characters."""
    identities: dict[str, str] | None = None
    prices: dict[str, int] | None = None

    @property
    def takes(self) -> list[Any]:
        """What the lines took at locations, flat: counter, units, …"""
        return [
            value
            for (sku, _), (_, *at) in zip(self.lines, self.places, strict=bool(self.places))
            for location, units in zip(at[::2], at[1::2], strict=True)
            for value in (counter_at(sku, location), units)
        ]

    @property
    def pick_up(self) -> list[str]:
        """The lines that name a location, flat: sku, location, …"""
        return [
            text
            for (sku, _), (is_named, *at) in zip(self.lines, self.places, strict=bool(self.places))
            if is_named
            for text in (sku, at[0])
        ]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AmendedReceipt).decode


class Signer:
    """Derives and signs with keyed BLAKE2b (RFC 7693).

    Parameters:
        secret: the installation's secret, in hex.
    """

    def __init__(self, secret: str) -> None:
        self._key = bytes.fromhex(secret)[:64]
        self._of_kind = {
            kind: hashlib.blake2b(digest_size=ID_BYTES, key=self._key, person=kind.value) for kind in IdKind
        }
        self._of_receipts = hashlib.blake2b(digest_size=SIGNATURE_BYTES, key=self._key, person=b"receipt")

    def short_id(
        self, kind: IdKind, sale: SaleId, key: Key | None, *, customer: CustomerId | None = None
    ) -> str:
        """Return the part of an id after its sale: from the idempotency key, or random without one.

        The same key in the same sale always gives the same id, so that looking up the key is looking up
        the reservation.

        Parameters:
            customer: whose key it is alone, where each customer's keys are apart, as in a spread sale.
        """
        if key is None:
            return secrets.token_hex(ID_BYTES)
        return self._digest(kind, sale, customer, key).hex()

    def id_of_key(self, kind: IdKind, key: str) -> str:
        """Return the id, in hex, of what the shop makes outside any sale under this idempotency key."""
        return self._digest(kind, key).hex()

    def ticket_id(self, sale: SaleId, customer: str) -> str:
        """Return the id of a customer's ticket for a sale's waiting room. It can't be guessed."""
        return _text(self._digest(IdKind.TICKET, sale, customer))

    def challenge_for(self, sale: SaleId, customer: str) -> str:
        """Return what a challenge says of whose ticket it is for. It is not the ticket's id, which can't be
        guessed."""
        return _text(self._digest(IdKind.CHALLENGE, sale, customer))

    def identity(self, by: str, text: str) -> str:
        """Return what an identity is counted by, in hex: it can't be told from whom without the secret."""
        return self._digest(IdKind.IDENTITY, by, text).hex()

    def _digest(self, kind: IdKind, *scope: object) -> bytes:
        """JSON of the scope says where each of its values ends: two scopes never have the same bytes."""
        digest = self._of_kind[kind].copy()  # keyed once: a third less than a new one
        digest.update(_encode(scope))
        return digest.digest()

    def token_id(
        self, sale: SaleId, customer: str, seconds: float, key: str, more: Mapping[str, Any] | None = None
    ) -> str:
        """Return the id of a buyer's token, derived from an idempotency key: the same for a retry."""
        text = f"{sale}\0{customer}\0{seconds:g}\0{key}".encode() + (_encode(more) if more else b"")
        return hashlib.blake2b(text, digest_size=ID_BYTES, key=self._key, person=b"token").hexdigest()

    def secret_for(self, purpose: str) -> bytes:
        """Return a secret for one purpose, derived from the installation's secret."""
        return hashlib.blake2b(purpose.encode(), digest_size=32, key=self._key, person=b"secret").digest()

    def sign(self, receipt: Receipt) -> str:
        """Return the receipt as text: payload and signature, base64url."""
        payload = _encode(receipt)
        return f"{_text(payload)}.{_text(self._signature(payload))}"

    def receipt(
        self,
        id_: ReservationId,
        customer: CustomerId,
        lines: Sequence[Line],
        created_ms: int,
        expires_ms: int,
        amended: Sequence[Any] | None = None,
        pick_up: Sequence[str] = (),
        reference: str | UnsetType | None = None,
        identities: dict[str, str] | None = None,
        prices: dict[str, int] | None = None,
    ) -> str:
        """Return the signed receipt of a hold.

        Parameters:
            amended: fingerprint and revision of a hold that was amended, or has a reference, metadata,
                identities, prices to show, or units of locations.
            pick_up: the lines that name a location, flat: sku, location, …
            identities: what limits by identity count it by.
            prices: of its items, as far as they have changed.
        """
        pairs = tuple([(line.sku, line.quantity) for line in lines])
        if amended is not None:
            first, revision = amended[:2]
            places, name = _places(lines, pick_up[::2]), None if reference is UNSET else reference
            what = (id_, customer, pairs, created_ms, expires_ms, first, revision, places, name)
            return self.sign(AmendedReceipt(*what, identities, prices or None))
        return self.sign(Receipt(id_, customer, pairs, created_ms, expires_ms))

    def verify(self, text: str) -> AmendedReceipt | None:
        """Return the receipt; None where the text was not signed by this installation. Its revision is 0
        where the hold was not amended."""
        try:
            head, _, tail = text.partition(".")
            payload, signature = _bytes(head), _bytes(tail)
            if not secrets.compare_digest(signature, self._signature(payload)):
                return None
            return _decode(payload)
        except (ValueError, msgspec.MsgspecError):
            return None

    def _signature(self, payload: bytes) -> bytes:
        digest = self._of_receipts.copy()
        digest.update(payload)
        return digest.digest()


def _places(lines: Sequence[Line], named: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    """Return where the units of each line are, as `AmendedReceipt` has it."""
    if all(line.allocations is UNSET for line in lines):
        return ()
    return tuple(
        (0,)
        if line.allocations is UNSET
        else (int(line.sku in named), *(value for each in line.allocations for value in astuple(each)))
        for line in lines
    )


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
