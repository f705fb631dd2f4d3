#!lua
-- look_at_room: returns how many buyers wait, and the order of the lottery once it is drawn.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, from, count}, ...}: which page of the lottery; count 0 for none
-- results   {opened_ms or 0, waiting, active, admitted, tickets of the lottery, {ticket, ...}}
--           {'unknown-sale'} {'no-room'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local function decide(sale, from, count)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then return {'no-room'} end
  local page = {}
  if room.opened_ms and count > 0 then page = redis.call('ZRANGE', room.lottery_key, from, from + count - 1) end
  return {room.opened_ms or 0, room.total, room.active, room.admitted, redis.call('ZCARD', room.lottery_key), page}
end

return run_batch(decide, nil, save_rooms)
