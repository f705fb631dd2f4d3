#!lua
-- leave_room: buyers who go, or who took what they came for: their places are given to those who wait.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, ticket, units taken}, ...}
-- results   {'left'} {'unknown-sale'} {'no-room'} {'unknown-ticket'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local function decide(sale, id, taken)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then return {'no-room'} end
  if taken > 0 then
    put(room, 'taken', room.taken + taken)
    put(room, 'recount_ms', 0) -- the units it was admitted for are gone
  end
  local gone = redis.call('ZREM', room.active_key, id) + redis.call('ZREM', room.waiting_key, id)
  if taken > 0 and gone == 0 then -- by an admission that outlived a loss of memory: its ticket is used
    once_per_loss(room, id, room.born_ms)
    once_per_loss(room, id, EPOCH)
  end
  if not room.opened_ms then redis.call('ZREM', room.lottery_key, id) end
  return {gone > 0 and 'left' or 'unknown-ticket'}
end

return run_batch(decide, nil, save_rooms)
