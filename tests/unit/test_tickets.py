"""Tickets of waiting rooms: a text that can't be a customer's id has none."""

from typing import Any

import pytest

from flashguard.engine.customers import one_customer
from flashguard.engine.receipts import Signer
from flashguard.model import SaleId
from flashguard.waiting.tickets import Tickets


@pytest.mark.parametrize("customer", ["", "\ud800", "a\nb", "x" * 129])
def test_a_text_that_cannot_be_an_id_has_no_ticket(customer: str) -> None:
    no_ring: Any = None
    tickets = Tickets(Signer("00" * 32), no_ring, one_customer)
    sale = SaleId("drop")
    assert not tickets.is_of(sale, customer, "any")
    with pytest.raises(ValueError, match=r"^customer: "):
        tickets.id_of(sale, customer, 1)
    assert tickets.is_of(sale, " Ann", tickets.id_of(sale, "ann", 4))
