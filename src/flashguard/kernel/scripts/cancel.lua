#!lua
-- cancel: cancels orders (a refund). Their units become available again, or leave the stock together with the order:
-- either way stock = available + held + sold. They no longer count for the customer's limit.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, fingerprint, customer, lines, restock, reason}, ...}
--           fingerprint, customer and lines as the ledger has them: memory keeps only an order's fingerprint
-- results   {'cancelled', cancelled_ms, seq}: done now
--           {'as-it-is', seq}: it was cancelled before; the ledger has the details once seq is recorded
--           {'reservation-held'} {'reservation-released'} {'reservation-expired'} {'unknown-reservation'}
--           {'idempotency-mismatch'} {'unknown-sale'} {'unknown-item', sku} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/refusals.lua

local function decide(sale, id, fingerprint, customer, lines, restock, reason)
  if not sale.config then return {'unknown-sale'} end
  local record = record_of(sale, id)
  if not record then return {'unknown-reservation'} end
  local status = record.status
  if status == CANCELLED then return {'as-it-is', unrecorded(record)} end
  if status == HELD then return {'reservation-held'} end
  if status ~= CONFIRMED then return {REFUSAL[status]} end
  if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
  for i = 1, #lines, 2 do
    if not item_of(sale, lines[i]) then return unknown_item(sale, lines[i]) end
  end
  move(sale, lines, 'sold', -1)
  if not restock then move(sale, lines, 'stock', -1) end
  add_used(sale, customer, -units_of(lines))
  if sale.touched then wake(sale, customer) end
  put_blob(sale, id, ended_blob(CANCELLED, fingerprint, record.created_ms, record.hold_ms, NOW, SEQ + 1))
  note(pack({'cancel', sale.id, id, lines, NOW, restock, reason}))
  return {'cancelled', NOW, SEQ + 1}
end

return run_batch(decide, {name = 3, customer = 5, lines = 6})
