#!lua
-- look_at_room: how many wait, and the lottery's order once it takes no more tickets.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, from, count}, ...}; a page of the lottery: count 0 for none
-- results   {opened_ms or 0, waiting, active, admitted, tickets of the lottery, {ticket, ...}}
--           {'unknown-sale'} {'no-room'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/room.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add = wanted()
for i = 1, #REQUESTS do add(REQUESTS[i][1]) end
prefetch(wants)

local function decide(sale, index, from, count)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale, index)
  if not room then return {'no-room'} end
  local page = {}
  if room.opened_ms and count > 0 then page = redis.call('ZRANGE', room.lottery_key, from, from + count - 1) end
  return {room.opened_ms or 0, room.total, room.active, room.admitted, redis.call('ZCARD', room.lottery_key), page}
end

local results = {}
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  results[i] = decide(SALES[request[1]], request[1], request[2], request[3])
end
save_rooms()
return answer('', results)
