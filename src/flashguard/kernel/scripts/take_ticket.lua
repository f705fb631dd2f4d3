#!lua
-- take_ticket: issues tickets: places in a sale's waiting room. The same ticket again has the same place.
--
-- The rule: a sale issues tickets while it is scheduled, open or paused. Before it opens, a lottery's ticket gets its number
-- as its place; every other ticket is placed behind those in the room. A signed ticket that the room does not have gets its
-- place back only where memory may have lost it: memory lost the whole room after the ticket was signed, or it lost the end
-- of an earlier epoch, in which the ticket was signed. That works once per customer and loss. It does not work for a
-- customer who made a hold or an order since the ticket was signed: as far as the rebuild found one in the ledger, or it was
-- made with an admission that outlived the loss.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, ticket, number, shown, proof, proof_until_ms, customer}, ...}
--             number  of the lottery    shown  {place, issued_ms, epoch} of a signed ticket, or {}
--             proof   of a solved challenge, or ''
-- results   {known, epoch, 'admitted' | 'waiting', ...} as lib/room.lua's standing
--           {'unknown-sale'} {'no-room'} {'guest', host, status} {'sale-not-open', status, starts_ms} {'proof-required'} {'overloaded'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local ISSUES_TICKETS = {scheduled = true, open = true, paused = true}

-- place_lost(room, id, shown, customer): the place of a signed ticket that memory may have lost; else nil.
local function place_lost(room, id, shown, customer)
  local place, issued_ms, epoch = unpack(shown)
  if not place then return nil end
  local whole, tail = issued_ms < room.born_ms, epoch < EPOCH and issued_ms > room.lost_ms
  if not (whole or tail) then return nil end
  local reserved = redis.call('ZSCORE', room.spent_key, 'reserved ' .. customer)
  if reserved and tonumber(reserved) - TICKET_MS >= issued_ms then return nil end
  return once_per_loss(room, id, whole and room.born_ms or EPOCH) and place or nil
end

local function decide(sale, id, number, shown, proof, proof_until_ms, customer)
  if not sale.config then return {'unknown-sale'} end
  local room = room_of(sale)
  if not room then return no_room(sale) end
  if not ISSUES_TICKETS[room.status] then return {'sale-not-open', room.status, sale.config.starts_ms} end
  put(room, 'newest_ms', NOW)
  local known = standing(sale, room, id)
  if known then return {true, EPOCH, unpack(known)} end
  if room.all.total >= room.rule.waiting then return {'overloaded'} end

  local drawing = room.rule.mode == 'lottery' and not room.opened_ms
  local place = place_lost(room, id, shown, customer)
  if not place then
    if room.rule.proof and not (proof ~= '' and proof_until_ms > NOW and once(room, proof, proof_until_ms)) then
      return {'proof-required'}
    end
    place = drawing and number or place_by_time(room)
  end
  if room.rule.mode == 'lottery' and place == number then redis.call('ZADD', room.lottery_key, number, id) end
  redis.call('ZADD', room.waiting_key, place, id)
  room.total = room.total + 1
  if room.shards then room.all.total = room.all.total + 1 end
  return {false, EPOCH, unpack(standing(sale, room, id))}
end

return run_batch(decide, nil, save_rooms)
