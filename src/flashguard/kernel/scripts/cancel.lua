#!lua
-- cancel: takes orders back (a refund). Their units are available again, or leave the stock with the order that took
-- them away: either way stock = available + held + sold. They count for the customer's limit no more.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, fingerprint, customer, lines, restock, reason}, ...}
--           fingerprint, customer and lines as the ledger has them: of an order memory keeps none but the first
-- results   {'cancelled', cancelled_ms, seq}: done now
--           {'as-it-is', seq}: it was cancelled before; how, is in the ledger once seq is recorded
--           {'reservation-held'} {'reservation-released'} {'reservation-expired'} {'unknown-reservation'}
--           {'idempotency-mismatch'} {'unknown-sale'} {'unknown-item', sku} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add, add_sku = wanted()
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  add(request[1], request[2], request[4])
  for j = 1, #request[5], 2 do add_sku(request[1], request[5][j]) end
end
prefetch(wants)

local function decide(sale, id, fingerprint, customer, lines, restock, reason)
  if not sale.config then return {'unknown-sale'} end
  local record = sale.records[id]
  if not record then return {'unknown-reservation'} end
  if record[1] == CANCELLED then return {'as-it-is', unrecorded(record)} end
  if record[1] == HELD then return {'reservation-held'} end
  if record[1] ~= CONFIRMED then return {REFUSAL[record[1]]} end
  if record[2] ~= fingerprint then return {'idempotency-mismatch'} end
  for i = 1, #lines, 2 do
    if not sale.items[lines[i]] then return unknown_item(sale, lines[i]) end
  end
  move(sale, lines, 'sold', -1)
  if not restock then move(sale, lines, 'stock', -1) end
  add_used(sale, customer, -units_of(lines))
  if sale.stirred then wake(sale, customer) end
  put_record(sale, id, {CANCELLED, fingerprint, record[3], record[4], NOW - record[3], SEQ + 1})
  transitions[#transitions + 1] = {'cancel', sale.id, id, lines, NOW, restock, reason}
  return {'cancelled', NOW, SEQ + 1}
end

local results = {}
for i = 1, #REQUESTS do
  local r = REQUESTS[i]
  results[i] = decide(SALES[r[1]], r[2], r[3], r[4], r[5], r[6], r[7])
  if SALES[r[1]].stirred then hand_out(SALES[r[1]]) end
end
flush()
return answer('', results)
