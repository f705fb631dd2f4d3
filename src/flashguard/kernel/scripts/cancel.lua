#!lua
-- cancel: cancels orders (a refund). Their units become available again, or leave the stock together with the order:
-- either way stock = available + held + sold. They no longer count for the customer's limit.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, order, restock, reason, key field and fingerprint of the request, or none}, ...}
--           order    see lib/orders.lua
--           key      of a request to cancel items, where they are all that is left; all others amend
-- results   {'cancelled', cancelled_ms, seq}: done now
--           {'as-it-is', seq}: it was cancelled before, with the key if there is one; the ledger has the details once seq is
--           recorded
--           {'amended-since', seq}: the order is not as in the request; the ledger has it once seq is recorded
--           {'reservation-held'} {'reservation-released'} {'reservation-expired'} {'unknown-reservation'}
--           {'idempotency-mismatch'} {'unknown-sale'} {'unknown-item', sku} {'recovering'}; with a key {'reservation-cancelled'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/refusals.lua
--@include lib/orders.lua

local function decide(sale, id, order, restock, reason, key, body)
  if not sale.config then return {'unknown-sale'} end
  local used = key and used_before(sale, key, body)
  if used then return used end
  local record = record_of(sale, id)
  if not record then return unknown_reservation(sale) end
  if record.status == CANCELLED and not key then return {'as-it-is', unrecorded(record)} end
  local no = not_that_order(record, order)
  if no then return no end
  local lines, moved = order.lines, order.takes or order.lines
  for i = 1, #moved, 2 do
    if not item_of(sale, moved[i]) then return unknown_item(sale, moved[i]) end
  end
  move(sale, moved, 'sold', -1)
  if not restock then move(sale, moved, 'stock', -1) end
  count_used(sale, order.customer, lines, order, -1)
  if sale.touched then wake(sale, order.customer) end
  put_blob(sale, id, ended_blob(CANCELLED, record.fingerprint, record.created_ms, record.hold_ms, NOW, SEQ + 1, order.revision))
  if key then note_key(sale, id, key, body, order.revision, order.customer, lines) end
  note(array_head(10) .. pack('cancel', sale.id, id, lines, NOW, restock, reason, order.takes, key, body))
  return {'cancelled', NOW, SEQ + 1}
end

return run_batch(decide, {name = 3})
