#!lua
-- expire: expires holds past their end, opens and closes sales by the clock, and serves the waiting list as far as no
-- request did. The recorder calls it at a fixed pace, and again at once while there is more to do.
--
-- KEYS      partition, journal, then the six of each sale, then five per waiting room (see lib/)
-- requests  {{sale index}, ...}
-- results   {holds expired, whether there is more to do}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/journal_sale.lua

local ROOM_KEYS = 5
local SALE_COUNT = (#KEYS - 2) / (KEYS_PER_SALE + ROOM_KEYS)

-- room_is_empty(sale): whether the sale has a waiting room, with no ticket that waits or is admitted.
local function room_is_empty(sale)
  if not sale.config.rules.room then return false end
  local at = 3 + SALE_COUNT * KEYS_PER_SALE + sale.index * ROOM_KEYS
  return redis.call('ZCARD', KEYS[at + 1]) == 0 and redis.call('ZCOUNT', KEYS[at + 2], '(' .. NOW, '+inf') == 0
end

local looked_at = 0 -- deadlines, of all sales of this call
local function decide(sale)
  local config = sale.config
  if not config then return {0, false} end
  local status = status_now(config)
  if status ~= config.status then
    config.status = status
    journal_sale(sale, '', '')
  end
  serves_left = math.ceil(SERVE_MOST / REQUESTS[1])
  looked_at = looked_at - sale.looked_at
  while looked_at + sale.looked_at < EXPIRE_MOST and expire_page(sale) do end
  looked_at = looked_at + sale.looked_at
  if sale.touched then serve_waiting(sale, room_is_empty(sale)) end
  return {sale.expired_count, not sale.drained or sale.behind == true}
end

return run_batch(decide)
