"""The tickets of waiting rooms: their ids, the signed tickets, and the admissions.

In a spread sale a ticket is on its customer's home shard, and its id ends with the number of that shard, as a
reservation's begins with it: `<id>~2`.
"""

from collections.abc import Callable
from typing import Final

from flashguard.access.tokens import MAX_TOKEN_SECONDS, KeyRing, TokenKind
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.receipts import Signer
from flashguard.model import Admission, CustomerId, Refused, SaleId, is_str
from flashguard.model.arguments import is_ascii, is_sale
from flashguard.model.shards import home_shard, shard_id
from flashguard.model.whole import whole_number

LOTTERY: Final = 0
"""On a ticket, stands for the place that the seed gives it."""
TOKEN_SLACK_SECONDS: Final = 60
"""A token outlives its session by this: the kernel ends the session by its own clock."""


def shard_of(sale: SaleId, ticket: str) -> SaleId:
    """Return the shard that has a ticket; the sale itself where it is not spread."""
    number = whole_number(ticket.partition("~")[2])
    return sale if number is None else shard_id(sale, number)


class Tickets:
    """Names the tickets of customers, signs and reads tickets and admissions.

    Parameters:
        ring: signs tickets and admissions, and verifies them.
        customer_of: returns the spelling of a customer's id that limits count by; None where it can't be an
            id.
    """

    def __init__(
        self, signer: Signer, ring: KeyRing, customer_of: Callable[[str], CustomerId | None]
    ) -> None:
        self._signer = signer
        self._ring = ring
        self._customer_of = customer_of

    def id_of(self, sale: SaleId, customer: str, spread: int) -> str:
        """Return the id of this customer's ticket, whether it was issued or not.

        Raises:
            ValueError: the text can't be a customer's id.
        """
        spelled = self._customer_of(customer)
        if spelled is None:
            raise ValueError(WHAT_IT_IS)
        id_, home = self._signer.ticket_id(sale, spelled), home_shard(spelled, spread)
        return f"{id_}~{home}" if home else id_

    def is_of(self, sale: SaleId, customer: str, ticket: str) -> bool:
        """Return whether a ticket with this id can only be this customer's."""
        if self._customer_of(customer) is None:
            return False
        return ticket.partition("~")[0] == self.id_of(sale, customer, 1)

    def signed(self, sale: SaleId, id_: str, place: int, drawn: int, now_ms: int, epoch: int) -> str:
        """Return the signed ticket. Its buyer can read it, so it must not name a number of the lottery early.

        Raises:
            LookupError: no signing key is loaded yet.
        """
        says = {"place": LOTTERY if place == drawn else place, "at_ms": now_ms, "epoch": epoch}
        return self._ring.sign(TokenKind.TICKET, id_, sale, MAX_TOKEN_SECONDS, says).token

    def read(self, sale: SaleId, id_: str, drawn: int, shown: str | None) -> list[int]:
        """Return what a signed ticket says: place, time of signing in milliseconds, epoch; nothing where it
        is not this ticket's."""
        if shown is None:
            return []
        claims = self._ring.verify(TokenKind.TICKET, shown.encode())
        if isinstance(claims, Refused) or (claims.sale, claims.subject) != (sale, id_):
            return []
        place = claims.more["place"]
        return [drawn if place == LOTTERY else place, claims.more["at_ms"], claims.more["epoch"]]

    def admission(self, sale: SaleId, id_: str, until_ms: int, now_ms: int) -> str:
        """Return the token that reserve and buy demand.

        Raises:
            LookupError: no signing key is loaded yet.
        """
        seconds = min((until_ms - now_ms) / 1000 + TOKEN_SLACK_SECONDS, MAX_TOKEN_SECONDS)
        return self._ring.sign(TokenKind.ADMISSION, id_, sale, seconds, {"until_ms": until_ms}).token

    def admitted_until(self, sale: SaleId, customer: str, admission: str) -> int | Admission:
        """Return until when this admission is valid for this customer in this sale, in milliseconds by
        memory's clock, and whose room made it if it is not the sale's; 0 where it is valid for neither. The
        kernel knows whose room the sale shares."""
        if not (is_sale(sale) and is_str(customer) and is_ascii(admission)):
            return 0
        claims = self._ring.verify(TokenKind.ADMISSION, admission.encode())
        if isinstance(claims, Refused) or claims.sale is None:
            return 0
        room, until_ms = claims.sale, claims.more.get("until_ms")
        if not isinstance(until_ms, int) or not self.is_of(room, customer, claims.subject):
            return 0
        return until_ms if room == sale else Admission(until_ms, room)
