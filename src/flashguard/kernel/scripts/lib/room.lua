-- The waiting rooms of the sales that a batch touches: which tickets wait, in which order, and which are admitted.
--
-- The five keys per sale, see room_keys.lua:
--   room     hash   born_ms            when memory first had the room
--                   epoch, newest_ms   the epoch of the last call, and when the newest ticket was signed
--                   lost_ms            newest_ms when that epoch began: tickets of older epochs that were signed later are lost
--                   opened_ms          when the sale was first seen open: from then on the lottery is drawn
--                   settle_ms          no ticket is admitted before: those whose places memory lost come back first
--                   last               the newest place given by time
--                   credit, credit_ms  how many may be admitted, as of when: a bucket filled at the sale's rate
--                   pace, pace_ms      admissions per second of late, as of when
--                   free, held, sold, recount_ms   the sale's units, and when to count them again
--                   taken, base        units that admitted buyers reserved; those held or sold when memory first had the room
--                   admitted           admissions in all
--                   granted, whole, grants   of a shard of a spread sale, and of a shared room: see admit.lua
--                   empty_ms           of a guest: when its host's room was last seen empty
--   waiting  zset   ticket -> place; the lowest place is next
--   active   zset   ticket -> when its turn ends; plus a half while the buyer has not polled since the admission
--   lottery  zset   ticket -> number, of every ticket that takes part
--   spent    zset   what counts once (a solved challenge, a ticket shown after a loss) -> until when it is kept
--                   reserved <customer> -> a ticket's lifetime after their newest hold or order, as of the last rebuild
--
-- Places: a number of the lottery (below 2^48); for later tickets the server's time in 1/1024 ms, which is above every such
-- number and below 2^53. None of this is journalled: a signed ticket has its own place, see take_ticket.
--
-- The room of a spread sale is on all its shards: a ticket is on its customer's. Its tickets are admitted by admit.lua alone, in
-- the order of the whole sale; and where a ticket stands follows from what the last beat told of the whole room: room.all.
--
-- Several sales may share one room. The host has it (room.shared), and admits as a spread sale does, over one shard or more. Of
-- its guests the rule is {of = host} alone: they have no tickets, and report their units for the host's admissions.
--
-- Rules: room, and in its place doors once the doors are open to all: no ticket waits then, and each is admitted.

--@include lib/room_keys.lua

local PLACES_PER_MS = 1024
local POLL_LEAST_MS, POLL_MS = 1000, 10000 -- between two polls of one buyer, as the buyer is told
local POLLS_PER_MS = 3 -- a larger crowd is told to poll less often: all its polls together stay below this
local PICKUP_POLLS, SETTLE_MS = 1.5, 15000 -- how long an admission waits for its buyer, in polls
local BURST_SECONDS = 1 -- of the rate, kept for later while no call admits: four beats of the recorder
local admits_left = 1000 -- by one call
local COUNT_MS, COUNTED_PER_MS = 100, 10 -- between two counts of the units; longer where there are many items
local PACE_MS = 10000 -- over which the pace is smoothed
local TICKET_MS = 86400000 -- a signed ticket counts for no longer
local FORGET_MOST = 1000 -- entries of spent that are out of date, by one call
local FIRMNESS = 10 -- orders assumed on top of those seen, before holds are expected to expire
local FIELDS = {'born_ms', 'epoch', 'newest_ms', 'lost_ms', 'opened_ms', 'settle_ms', 'last', 'credit', 'credit_ms',
  'pace', 'pace_ms', 'free', 'held', 'sold', 'recount_ms', 'taken', 'base', 'admitted'}

-- put(room, field, value): changes a field; save_rooms writes the changed fields.
local function put(room, field, value)
  room[field] = value
  room.changed[field] = value
end

local CAPPED_MOST = 2 ^ 49 -- an item of which the stock is more draws from pools only, and these are counted

-- count_stock(sale, room): counts the sale's units again when that is due.
local function count_stock(sale, room)
  if NOW < (room.recount_ms or 0) then return end
  local free, held, sold, items = 0, 0, 0, 0
  local all = redis.call('HGETALL', sale.key)
  for i = 1, #all, 2 do
    local item = string.sub(all[i], 1, 5) == 'item:' and read_item(all[i + 1])
    if item and item.stock <= CAPPED_MOST then
      free, held, sold, items = free + free_units(item), held + item.held, sold + item.sold, items + 1
    end
  end
  if room.free ~= free then put(room, 'free', free) end
  if room.held ~= held then put(room, 'held', held) end
  if room.sold ~= sold then put(room, 'sold', sold) end
  if not room.base then put(room, 'base', held + sold) end
  put(room, 'recount_ms', NOW + math.max(COUNT_MS, items / COUNTED_PER_MS))
end

-- expiring_soon(sale, room): how many holds will likely expire within a session, going by those before.
local function expiring_soon(sale, room)
  local expired = math.max(0, room.taken - (room.held + room.sold - room.base))
  if expired == 0 or room.held == 0 then return 0 end
  local soon = redis.call('ZCOUNT', sale.deadlines_key, NOW, NOW + room.rule.session_ms)
  return soon * expired / (expired + room.sold + FIRMNESS)
end

-- count_active(sale, room): ends the turns that are over.
local function count_active(sale, room)
  redis.call('ZREMRANGEBYSCORE', room.active_key, '-inf', NOW)
  count_stock(sale, room)
  room.active = redis.call('ZCARD', room.active_key)
end

-- allowed(room, active, units): how many the rate, the free places and the units allow to admit now; and the credit.
local function allowed(room, active, units)
  local rule = room.rule
  local credit = math.min(math.max(1, rule.rate * BURST_SECONDS),
    room.credit + math.max(0, NOW - room.credit_ms) * rule.rate / 1000)
  return math.max(0, math.floor(math.min(credit, rule.most - active, units - active, admits_left))), credit
end

-- spend(room, credit, count): takes admissions from the credit.
local function spend(room, credit, count)
  admits_left = admits_left - count
  put(room, 'credit', credit - count)
  put(room, 'credit_ms', NOW)
  local kept = math.exp(-math.max(0, NOW - room.pace_ms) / PACE_MS)
  put(room, 'pace', room.pace * kept + count * 1000 / PACE_MS)
  put(room, 'pace_ms', NOW)
end

-- let_in(room, most): admits the first tickets that wait, and returns their number.
local function let_in(room, most)
  local admitted = most >= 1 and redis.call('ZPOPMIN', room.waiting_key, most) or {}
  if #admitted == 0 then return 0 end
  local turns = {}
  for i = 1, #admitted, 2 do
    turns[i], turns[i + 1] = NOW + math.ceil(room.poll_ms * PICKUP_POLLS) + 0.5, admitted[i]
  end
  call('ZADD', room.active_key, turns)
  local count = #turns / 2
  room.active, room.total = room.active + count, room.total - count
  put(room, 'admitted', room.admitted + count)
  return count
end

-- admit(sale, room): admits as many as the rate, the free places and the units allow.
local function admit(sale, room)
  count_active(sale, room)
  if not room.doors and room.status == 'open' and NOW >= room.settle_ms then
    local most, credit = allowed(room, room.active, room.free + expiring_soon(sale, room))
    local count = let_in(room, most)
    if count > 0 then spend(room, credit, count) end
  end
  room.full = room.active >= room.rule.most
end

-- shard_number(sale): of a spread sale.
local function shard_number(sale)
  return tonumber(string.match(sale.id, '~(%d+)$') or 0)
end

-- whole_of(room): what a shard was told of the whole room, with its own changes since then.
local function whole_of(room)
  local packed = redis.call('HGET', room.key, 'whole')
  if not packed then
    return {total = room.total * room.shards, active = 0, free = CAPPED_MOST, held = 0, pace = 0, pace_ms = NOW, known = 0,
      front = ''}
  end
  local total, mine, active, free, held, full, pace, front, known, pace_ms = cmsgpack.unpack(packed)
  return {total = math.max(room.total, total + room.total - mine), active = active, free = free, held = held, full = full,
    pace = pace, pace_ms = pace_ms, front = front, known = known}
end

-- place_in_whole(sale, room, rank): the position in the whole room of the ticket with this rank on its shard, and whether
-- that is an estimate. The front of the whole room is known: of each place, on which shard it is. Behind it, the shards'
-- tickets are taken to alternate evenly.
local function place_in_whole(sale, room, rank)
  local all, at = room.all, 0
  local behind = rank - all.known
  if behind > 0 then
    local waiting, mine = all.total - #all.front, math.max(rank, room.total) - all.known
    return #all.front + math.max(behind, math.ceil(behind * waiting / mine)), true
  end
  local me = string.char(shard_number(sale))
  for _ = 1, rank do at = string.find(all.front, me, at + 1, true) end
  return at, false
end

-- read_room(sale, rule): what the sale's room has, by this rule.
local function read_room(sale, rule)
  local room = {rule = rule, changed = {}}
  room.key, room.waiting_key, room.active_key, room.lottery_key, room.spent_key = room_keys(sale)
  local values = redis.call('HMGET', room.key, unpack(FIELDS))
  for i = 1, #FIELDS do room[FIELDS[i]] = tonumber(values[i]) end
  room.taken = room.taken or 0
  return room
end

-- no_room(sale): the refusal of a sale without a room of its own. A guest names its host, and its own status.
local function no_room(sale)
  local rule = sale.config.rules.room or sale.config.rules.doors
  return rule and {'guest', rule.of, status_now(sale.config)} or {'no-room'}
end

-- guest_of(sale, session_ms): what a guest counts of its units; nil when the sale is none, or its doors are open.
local function guest_of(sale, session_ms)
  local rule = sale.config.rules.room
  if not (rule and rule.of) then return nil end
  sale.guest = sale.guest or read_room(sale, {session_ms = session_ms})
  return sale.guest
end

-- room_of(sale): the sale's waiting room, after admitting; nil when it has none of its own.
local function room_of(sale)
  if sale.room ~= nil then return sale.room or nil end
  local rules = sale.config and sale.config.rules or NO_RULES
  local rule = rules.room or rules.doors
  sale.room = false
  if not rule or rule.of then return nil end
  local room = read_room(sale, rule)
  room.doors, room.shards, sale.room = rules.doors, rules.spread or rule.shared and 1, room
  room.status = status_now(sale.config)
  if not room.born_ms then -- load writes it with a new sale: memory has lost it
    put(room, 'born_ms', NOW)
    put(room, 'settle_ms', NOW + SETTLE_MS)
  end
  if room.epoch ~= EPOCH then
    put(room, 'lost_ms', room.newest_ms or room.born_ms)
    put(room, 'epoch', EPOCH)
  end
  if not room.opened_ms and (room.status == 'open' or rule.opened) then
    put(room, 'opened_ms', NOW)
    put(room, 'credit', math.max(1, rule.rate))
    put(room, 'credit_ms', NOW)
  end
  room.settle_ms, room.credit, room.credit_ms = room.settle_ms or 0, room.credit or 0, room.credit_ms or NOW
  room.pace, room.pace_ms = room.pace or 0, room.pace_ms or NOW
  room.admitted, room.last = room.admitted or 0, room.last or 0
  room.total = redis.call('ZCARD', room.waiting_key)
  room.all = room.shards and whole_of(room) or room
  room.poll_ms = math.max(POLL_MS, math.ceil(room.all.total / POLLS_PER_MS))
  if not room.shards then admit(sale, room) end
  return room
end

-- once(room, what, until_ms): whether this is the first time. What is out of date and not removed yet counts as seen: such a
-- challenge or ticket is refused anyway.
local function once(room, what, until_ms)
  local out = redis.call('ZRANGEBYSCORE', room.spent_key, '-inf', NOW, 'LIMIT', 0, FORGET_MOST)
  if #out > 0 then redis.call('ZREM', room.spent_key, unpack(out)) end
  return redis.call('ZADD', room.spent_key, 'NX', until_ms, what) == 1
end

-- once_per_loss(room, id, loss): whether this ticket is shown or used for the first time since a loss (born_ms, or an epoch).
local function once_per_loss(room, id, loss)
  return once(room, string.format('%s %.0f', id, loss), NOW + TICKET_MS)
end

-- place_by_time(room): the place behind all others.
local function place_by_time(room)
  put(room, 'last', math.max(room.last + 1, NOW * PLACES_PER_MS))
  return room.last
end

-- outlook(room, position): the chance to get a unit at this position, if every buyer before it reserves one.
local function outlook(room, position)
  local all = room.all
  local before = position + all.active
  if all.free == 0 and all.held == 0 then return 'sold-out' end
  if before <= all.free then return 'likely' end
  return before <= all.free + all.held and 'possible' or 'unlikely'
end

-- wait_ms(sale, room, position): the time until this position is admitted; -1 where it depends on holds that expire.
local function wait_ms(sale, room, position)
  local rule, all = room.rule, room.all
  if position + all.active > all.free then return -1 end
  local speed = rule.rate
  if all.full then
    local pace = all.pace * math.exp(-math.max(0, NOW - all.pace_ms) / PACE_MS)
    speed = math.min(speed, math.max(pace, rule.most * 1000 / rule.session_ms))
  end
  local opens_ms = room.status == 'scheduled' and sale.config.starts_ms or 0
  return math.max(0, opens_ms - NOW, room.settle_ms - NOW) + position * 1000 / speed
end

-- poll_ms(room, position): when a waiting buyer should poll again: before it can be their turn at the sale's rate.
local function poll_ms(room, position)
  if room.all.free == 0 or room.status ~= 'open' then return room.poll_ms end
  return math.max(POLL_LEAST_MS, math.min(room.poll_ms, position * 500 / room.rule.rate))
end

-- standing(sale, room, id): where a ticket stands, as a result; nil when the room does not have it.
--   {'admitted', until_ms}
--   {'waiting', place, position (0: not drawn yet), number of tickets, wait_ms or -1, outlook, opens_ms or 0, poll_ms,
--   whether the position is an estimate}
local function standing(sale, room, id)
  if room.doors then return {'admitted', NOW + room.rule.session_ms} end
  local ends = tonumber(redis.call('ZSCORE', room.active_key, id) or nil)
  if ends then
    if ends % 1 ~= 0 then -- polled for the first time since the admission
      ends = NOW + room.rule.session_ms
      redis.call('ZADD', room.active_key, ends, id)
    end
    return {'admitted', ends}
  end
  local place = tonumber(redis.call('ZSCORE', room.waiting_key, id) or nil)
  if not place then return nil end
  local opens_ms = room.status == 'scheduled' and sale.config.starts_ms or 0
  if room.rule.mode == 'lottery' and not room.opened_ms then
    local hope = outlook(room, room.all.total)
    return {'waiting', place, 0, room.all.total, -1, hope == 'unlikely' and 'possible' or hope, opens_ms, room.poll_ms, false}
  end
  local position, about = redis.call('ZRANK', room.waiting_key, id) + 1, false
  if room.shards and room.shards > 1 then position, about = place_in_whole(sale, room, position) end
  return {'waiting', place, position, room.all.total, wait_ms(sale, room, position), outlook(room, position), opens_ms,
    poll_ms(room, position), about}
end

-- save_rooms(): writes the changed fields of every room.
local function save_rooms()
  for _, sale in pairs(SALES) do
    local room = sale.room or sale.guest
    if room and next(room.changed) then
      local fields = {}
      for field, value in pairs(room.changed) do
        fields[#fields + 1] = field
        fields[#fields + 1] = value
      end
      call('HSET', room.key, fields)
    end
  end
end
