#!lua flags=no-writes
-- verify: returns what memory lacks of its sales. A key that was deleted or evicted had holds, limits or idempotency keys,
-- and no decision would notice that they are missing.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index}, ...}
-- results   {'' or what is missing}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/reading.lua

local function missing(sale)
  if redis.call('HEXISTS', sale.key, 'deleted') == 1 then return '' end -- the ledger is about to delete it
  if redis.call('HEXISTS', sale.key, 'config') == 0 then return 'its rules' end
  if not has_items(sale) then return 'an item' end
  if redis.call('HEXISTS', sale.reservations_key, '') == 0 then return 'its reservations' end
  if not redis.call('ZSCORE', sale.deadlines_key, '') then return 'its deadlines' end
  if redis.call('HEXISTS', sale.used_key, '') == 0 then return 'its limits' end
  if redis.call('HEXISTS', sale.history_key, '') == 0 then return "its hold history" end
  if not redis.call('ZSCORE', sale.queue_key, '') then return 'its waiting list' end
  return ''
end

return read_batch(function(sale) return {missing(sale)} end)
