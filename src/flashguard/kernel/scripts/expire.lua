#!lua
-- expire: expires holds past their end, opens and closes sales by the clock, serves the waiting list as far as no request
-- did, and admits the buyers whose turn it is while none of them polls. The recorder calls it at a fixed pace, and again at
-- once while there is more to do.
--
-- KEYS      partition, journal, then the six of each sale, then five per waiting room (see lib/)
-- requests  {{sale index}, ...}
-- results   {holds expired, whether there is more to do}; of the first shard of a spread sale that has not closed also the number
--           of its shards, whether it has a waiting room (see admit.lua), and whether it has a waiting list (see serve_list.lua).
--           A sale with a shared waiting room counts as one of one shard, without a list

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/journal_sale.lua
--@include lib/room.lua

-- room_is_empty(sale): whether the sale has a waiting room, with no ticket that waits or is admitted.
local function room_is_empty(sale)
  if not sale.config.rules.room then return sale.config.rules.doors ~= nil end
  return no_ticket_in(sale)
end

local has_room_open = {scheduled = true, open = true, paused = true}
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
  local rules, more = config.rules, not sale.drained or sale.behind == true
  local room = rules.room and not rules.room.of and rules.room
  local shards = rules.spread or room and room.shared and 1
  if not shards or not has_room_open[config.status] or string.find(sale.id, '~', 1, true) then
    return {sale.expired_count, more}
  end
  return {sale.expired_count, more, shards, room ~= false and room ~= nil, rules.spread ~= nil and rules.waiting_most ~= nil}
end

-- save(): the rooms come after the sales, whose units they count.
local function save()
  flush()
  for _, sale in pairs(SALES) do
    local _, waiting_key = room_keys(sale)
    local rules = sale.config and sale.config.rules or NO_RULES
    if rules.room and not rules.spread and redis.call('ZCARD', waiting_key) > 0 then room_of(sale) end
  end
  save_rooms()
end

return run_batch(decide, nil, save)
