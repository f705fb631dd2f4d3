"""The state of a run's sale, in memory and in the ledger."""

import json
from typing import Final

import msgspec

from flashguard.model import Sale
from tests.campaign.history import Counters, Entry, History, Ledger
from tests.campaign.reading import counters_of, row_of, with_stock_of_locations
from tests.simulation.postgres_wire import Backend

READ: Final = """
SELECT json_build_object(
 'rows', (SELECT json_agg(json_build_object('sale_id', sale_id, 'id', id, 'customer', customer,
            'status', status, 'lines', lines::text, 'details', details::text, 'hold_ms', hold_ms,
            'created_ms', flashguard.to_millis(created_at),
            'ended_ms', flashguard.to_millis(coalesce(confirmed_at, ended_at))) ORDER BY sale_id, id)
          FROM flashguard.reservations WHERE split_part(sale_id, '~', 1) = '{sale}'),
 'items', (SELECT json_agg(t) FROM (SELECT sku, sum(stock) AS stock, sum(held) AS held, sum(sold) AS sold
           FROM flashguard.items WHERE split_part(sale_id, '~', 1) = '{sale}' GROUP BY sku ORDER BY sku) t),
 'restocks', (SELECT json_agg(json_build_array(key, sku, delta) ORDER BY key, sku)
              FROM flashguard.restocks WHERE split_part(sale_id, '~', 1) = '{sale}'),
 'entries', (SELECT json_agg(json_build_object('part', sale_id, 'id', id, 'customer', customer, 'sku', sku,
               'quantity', quantity, 'state', state, 'place', place,
               'created_ms', flashguard.to_millis(created_at),
               'ended_ms', coalesce(flashguard.to_millis(ended_at), 0)) ORDER BY sale_id, id)
             FROM flashguard.waiting_list WHERE split_part(sale_id, '~', 1) = '{sale}'),
 'rebuilt_ms', (SELECT flashguard.to_millis(max(at)) FROM flashguard.recoveries),
 'refused', (SELECT json_agg(id ORDER BY id)
             FROM flashguard.refusals WHERE split_part(sale_id, '~', 1) = '{sale}'))
"""


def read_ledger(own: Backend, history: History, memory: dict[str, Counters]) -> Ledger:
    """Return what the ledger has of the run's sale."""
    [[text]] = own.query(READ.format(sale=history.sale))
    assert text is not None
    seen = json.loads(text)
    restocks = [tuple(each) for each in seen["restocks"] or ()]
    return Ledger(
        rows=tuple(map(row_of, seen["rows"] or ())),
        items=with_stock_of_locations(
            {i["sku"]: Counters(i["stock"], i["held"], i["sold"]) for i in seen["items"] or ()}, history
        ),
        memory=memory,
        restocks=tuple(each for each in restocks if not each[0].startswith("transfer:")),
        transfers=tuple(each for each in restocks if each[0].startswith("transfer:")),
        refused=tuple(seen["refused"] or ()),
        rebuilt_ms=seen["rebuilt_ms"] or 0,
        entries=msgspec.convert(seen["entries"] or (), tuple[Entry, ...]),
    )


def counters_in_memory(sale: Sale) -> dict[str, Counters]:
    """Return the counters of a sale as an operator is shown them."""
    body = msgspec.to_builtins(sale)
    for item, shown in zip(sale.items, body["items"], strict=True):
        shown["stock"] = item.stock_in_all
    return counters_of(body)
