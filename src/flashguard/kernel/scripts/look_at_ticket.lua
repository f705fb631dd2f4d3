#!lua
-- look_at_ticket: returns where tickets stand now. Every call first admits all buyers whose turn it is: the room advances
-- by the server's clock, however many processes call, and needs no leader.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, ticket}, ...}
-- results   {'admitted' | 'waiting', ...} as lib/room.lua's standing
--           {'unknown-sale'} {'no-room'} {'guest', host, status} {'unknown-ticket'} {'sale-not-open', status, starts_ms}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local function decide(sale, id)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then return no_room(sale) end
  if room.status == 'closed' then return {'sale-not-open', room.status, sale.config.starts_ms} end
  return standing(sale, room, id) or {'unknown-ticket'}
end

return run_batch(decide, nil, save_rooms)
