#!lua
-- restock: changes an item's stock by a signed number of units, or to what was counted, never below held + sold.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, sku, delta, reason, key field, fingerprint, most stock, count}, ...}
--             count  the stock as it was counted, in place of delta. Of a shard: its part, with the units that left it and without
--                    those that arrived, so that transfers under way change nothing
-- results   {'restocked', replayed, stock, held, sold, seq}
--           {'invalid-request', available, delta} {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'recovering'}
--
-- A transfer between the shards of a spread sale is two restocks: transfer:<id>:out, later transfer:<id>:in on another shard. What
-- is set aside for the waiting list leaves only for the list; what arrives for a buyer is not set aside.

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/moved.lua

-- delta_to(sale, sku, count): how many units the stock has too few; below zero, too many.
local function delta_to(sale, sku, count)
  local moved = moved_of(sale, sku)
  return count - (item_of(sale, sku).stock + moved.units_out - moved.units_in)
end

local function decide(sale, sku, delta, reason, key, fingerprint, most, count)
  if not sale.config then return {'unknown-sale'} end
  local record = record_of(sale, key)
  if record then
    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
    return {'restocked', true, record.stock, record.held, record.sold, unrecorded(record)}
  end
  local item = item_of(sale, sku)
  if not item then return unknown_item(sale, sku) end
  if count then delta = delta_to(sale, sku, count) end
  local for_buyer = is_transfer(key) and not is_for_list(key)
  local function available_now() return free_units(item) - (for_buyer and delta < 0 and item.set_aside or 0) end
  local available = available_now()
  while available + delta < 0 and sale.looked_at < EXPIRE_MOST and expire_page(sale) do available = available_now() end
  if available + delta < 0 or item.stock + delta > most then return {'invalid-request', available, delta} end
  item.stock = item.stock + delta
  sale.items_changed[sku] = item
  if sale.touched then touch(sale, sku, for_buyer and 0 or delta) end
  if is_transfer(key) then count_moved(sale, sku, delta) end
  put_record(sale, key, {kind = 'restock', fingerprint = fingerprint, stock = item.stock, held = item.held, sold = item.sold,
    seq = SEQ + 1})
  note(pack({'restock', sale.id, key, {sku, delta}, NOW, fingerprint, reason, 0,
    item.stock, item.held, item.sold}))
  return {'restocked', false, item.stock, item.held, item.sold, SEQ + 1}
end

return run_batch(decide, {name = 6})
