#!lua
-- look_at_room: returns how many buyers wait, and the order of the lottery once it is drawn.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, from, count}, ...}: the tickets of the lottery from this number on; count 0 for none
-- results   {opened_ms or 0, waiting, active, admitted, tickets of the lottery, {ticket, number, ...}, first}
--             first  the lowest place that waits; above every place where no ticket waits
--           {'unknown-sale'} {'no-room'} {'guest', host, status}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local function decide(sale, from, count)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then return no_room(sale) end
  local page = {}
  if room.opened_ms and count > 0 then
    page = redis.call('ZRANGEBYSCORE', room.lottery_key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, count)
    for i = 2, #page, 2 do page[i] = tonumber(page[i]) end
  end
  if room.shards then count_active(sale, room) end
  local first = redis.call('ZRANGE', room.waiting_key, 0, 0, 'WITHSCORES')[2]
  return {room.opened_ms or 0, room.total, room.active, room.admitted, redis.call('ZCARD', room.lottery_key), page,
    tonumber(first or 2 ^ 53)}
end

return run_batch(decide, nil, save_rooms)
