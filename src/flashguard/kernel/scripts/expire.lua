#!lua
-- expire: takes back holds whose time has ended, moves sales that the clock opens or closes, and serves those who wait as
-- far as no request did. The recorder's beat: it calls again at once while more are waiting.
--
-- KEYS      partition, journal, then the six of each sale, then five per waiting room (see lib/)
-- requests  {{sale index}, ...}
-- results   {holds taken back, more holds or entries are waiting}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/noting.lua

local ROOM_KEYS = 5
local SALE_COUNT = (#KEYS - 2) / (KEYS_PER_SALE + ROOM_KEYS)

-- nobody_in_room(sale): the sale has a waiting room, and nobody waits in it or was admitted by it.
local function nobody_in_room(sale)
  if not sale.config.rules.room then return false end
  local at = 3 + SALE_COUNT * KEYS_PER_SALE + sale.index * ROOM_KEYS
  return redis.call('ZCARD', KEYS[at + 1]) == 0 and redis.call('ZCOUNT', KEYS[at + 2], '(' .. NOW, '+inf') == 0
end

local total = 0
local function decide(sale)
  local config = sale.config
  if not config then return {0, false} end
  local status = status_now(config)
  if status ~= config.status then
    config.status = status
    note_sale(sale, '', '')
  end
  serves_left = math.ceil(SERVE_MOST / #REQUESTS)
  while total < RECLAIM_MOST and reclaim(sale) do total = total + RECLAIM_PAGE end
  if sale.stirred then hand_out(sale, nobody_in_room(sale)) end
  return {sale.reclaimed, not sale.drained or sale.behind == true}
end

return run_batch(decide)
