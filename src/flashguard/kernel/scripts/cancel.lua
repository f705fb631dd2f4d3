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

local function collect(want, id, _, customer, lines) want_record(want, id, customer, lines) end

local function decide(sale, id, fingerprint, customer, lines, restock, reason)
  if not sale.config then return {'unknown-sale'} end
  local record = sale.records[id]
  if not record then return {'unknown-reservation'} end
  local status = record.status
  if status == CANCELLED then return {'as-it-is', unrecorded(record)} end
  if status == HELD then return {'reservation-held'} end
  if status ~= CONFIRMED then return {REFUSAL[status]} end
  if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
  for i = 1, #lines, 2 do
    if not sale.items[lines[i]] then return unknown_item(sale, lines[i]) end
  end
  move(sale, lines, 'sold', -1)
  if not restock then move(sale, lines, 'stock', -1) end
  add_used(sale, customer, -units_of(lines))
  if sale.touched then wake(sale, customer) end
  put_record(sale, id, {status = CANCELLED, fingerprint = fingerprint, created_ms = record.created_ms, hold_ms = record.hold_ms,
    ended_ms = NOW, seq = SEQ + 1})
  transitions[#transitions + 1] = {'cancel', sale.id, id, lines, NOW, restock, reason}
  return {'cancelled', NOW, SEQ + 1}
end

return run_batch(decide, collect)
