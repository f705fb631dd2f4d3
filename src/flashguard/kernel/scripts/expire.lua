#!lua
-- expire: takes back holds whose time has ended, moves sales that the clock opens or closes, and serves those who wait as
-- far as no request did. The recorder's beat: it calls again at once while more are waiting.
--
-- KEYS      partition, journal, then the six of each sale, then five per waiting room (see lib/)
-- requests  {{sale index}, ...}
-- results   {holds taken back, more holds or entries are waiting}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/noting.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add = wanted()
for i = 1, #REQUESTS do add(REQUESTS[i][1]) end
prefetch(wants)

local ROOM_KEYS = 5
local SALE_COUNT = (#KEYS - 2) / (KEYS_PER_SALE + ROOM_KEYS)

-- nobody_in_room(sale, index): the sale has a waiting room, and nobody waits in it or was admitted by it.
local function nobody_in_room(sale, index)
  if not sale.config.rules.room then return false end
  local at = 3 + SALE_COUNT * KEYS_PER_SALE + index * ROOM_KEYS
  return redis.call('ZCARD', KEYS[at + 1]) == 0 and redis.call('ZCOUNT', KEYS[at + 2], '(' .. NOW, '+inf') == 0
end

local results, total = {}, 0
for i = 1, #REQUESTS do
  local sale = SALES[REQUESTS[i][1]]
  if sale.config then
    local status = status_now(sale.config)
    if status ~= sale.config.status then
      sale.config.status = status
      note_sale(sale, '', '')
    end
    serves_left = math.ceil(SERVE_MOST / #REQUESTS)
    while total < RECLAIM_MOST and reclaim(sale) do total = total + RECLAIM_PAGE end
    if sale.stirred then hand_out(sale, nobody_in_room(sale, REQUESTS[i][1])) end
  end
  results[i] = {sale.reclaimed, sale.config ~= nil and (not sale.drained or sale.behind == true)} -- a sale that is not here has none
end
flush()
return answer('', results)
