#!lua
-- restock: changes an item's stock by a signed number of units, never below what is held and sold.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, sku, delta, reason, key field, fingerprint, most stock}, ...}
-- results   {'restocked', replayed, stock, held, sold, seq}
--           {'invalid-request', available} {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'recovering'}
--
-- A transfer between the parts of a spread sale is two restocks: transfer:<id>:out, later transfer:<id>:in elsewhere.

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/moved.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add, add_sku = wanted()
for i = 1, #REQUESTS do
  add(REQUESTS[i][1], REQUESTS[i][5])
  add_sku(REQUESTS[i][1], REQUESTS[i][2])
end
prefetch(wants)

local function decide(sale, sku, delta, reason, key, fingerprint, most)
  if not sale.config then return {'unknown-sale'} end
  local record = sale.records[key]
  if record then
    if record[2] ~= fingerprint then return {'idempotency-mismatch'} end
    return {'restocked', true, record[3], record[4], record[5], unrecorded(record)}
  end
  local item = sale.items[sku]
  if not item then return unknown_item(sale, sku) end
  local available = item.stock - item.held - item.sold
  if available + delta < 0 then
    while available + delta < 0 and sale.reclaimed < RECLAIM_MOST and reclaim(sale) do
      available = item.stock - item.held - item.sold
    end
  end
  if available + delta < 0 or item.stock + delta > most then return {'invalid-request', available} end
  item.stock = item.stock + delta
  sale.items_changed[sku] = item
  if sale.stirred then stir(sale, sku) end
  if is_transfer(key) then count_moved(sale, sku, delta) end
  put_record(sale, key, {'restock', fingerprint, item.stock, item.held, item.sold, SEQ + 1})
  transitions[#transitions + 1] = {'restock', sale.id, key, {sku, delta}, NOW, fingerprint, reason, 0,
    item.stock, item.held, item.sold}
  return {'restocked', false, item.stock, item.held, item.sold, SEQ + 1}
end

local results = {}
for i = 1, #REQUESTS do
  local r = REQUESTS[i]
  results[i] = decide(SALES[r[1]], r[2], r[3], r[4], r[5], r[6], r[7])
  if SALES[r[1]].stirred then hand_out(SALES[r[1]]) end
end
flush()
return answer('', results)
