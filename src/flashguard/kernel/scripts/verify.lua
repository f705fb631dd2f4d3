#!lua flags=no-writes
-- verify: does memory still have all that belongs to its sales? A key that was deleted or evicted takes holds,
-- limits or idempotency keys with it, and no decision would notice.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, how many items it has}, ...}
-- results   {'' or what is missing}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/reading.lua

local function missing(sale, items)
  if redis.call('HEXISTS', sale.key, 'config') == 0 then return 'its rules' end
  if not has_items(sale, items) then return 'an item' end
  if redis.call('HEXISTS', sale.reservations_key, '') == 0 then return 'its reservations' end
  if not redis.call('ZSCORE', sale.deadlines_key, '') then return 'its deadlines' end
  if redis.call('HEXISTS', sale.used_key, '') == 0 then return 'its limits' end
  if redis.call('HEXISTS', sale.habits_key, '') == 0 then return "its customers' habits" end
  if not redis.call('ZSCORE', sale.line_key, '') then return 'its waiting list' end
  return ''
end

return read_batch(function(sale, items) return {missing(sale, items)} end)
