#!lua
-- leave_room: removes the tickets of buyers who leave, or who have reserved what they came for. Others get their places.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, ticket, units reserved, whether at a guest}, ...}; a guest that is asked counts the units alone
-- results   {'left'} {'unknown-sale'} {'no-room'} {'guest', host, status} {'unknown-ticket'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

-- count_taken(room, units): counts what a buyer reserved whom the room had admitted.
local function count_taken(room, units)
  put(room, 'taken', room.taken + units)
  put(room, 'recount_ms', 0) -- the counts from before these units were reserved are out of date
end

local function decide(sale, id, units, at_guest)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then
    if guest_of(sale) then count_taken(sale.guest, units) end
    return no_room(sale)
  end
  if room.doors then return {'left'} end
  if units > 0 and not at_guest then count_taken(room, units) end
  local gone = redis.call('ZREM', room.active_key, id) + redis.call('ZREM', room.waiting_key, id)
  if units > 0 and gone == 0 then -- its admission outlived a loss of memory: mark the ticket as used
    once_per_loss(room, id, room.born_ms)
    once_per_loss(room, id, EPOCH)
  end
  if not room.opened_ms then redis.call('ZREM', room.lottery_key, id) end
  return {gone > 0 and 'left' or 'unknown-ticket'}
end

return run_batch(decide, nil, save_rooms)
