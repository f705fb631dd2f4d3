#!lua
-- admit: admits the buyers of a spread sale's waiting room, which has tickets on every shard, and those of a room that several
-- sales share. A recorder takes three steps per beat: each shard reports, the first shard grants, each shard lets in. Pace and
-- max_active hold over the whole room, whatever is lost, repeated, late or done by several recorders at once:
--
--   * The first shard counts the admissions that it ever granted to each shard, and has the credit that the pace allows.
--   * A shard lets in only once what it was granted: it remembers the count of grants that it was told, and a count that is not
--     higher changes nothing. What it was told and did not use is void. So no admission is made twice, and none is owed.
--   * A shard's grants that it has not been told of count as buyers who are in, with those that it reported. A report that is
--     old says too many: those who left since, it does not know; those who came since are grants that it was not told of then.
--
-- The guests of a shared room tell their units after the reports, and before the grant.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, 'report'}, ...}
--           {{sale index, 'units', session_ms, empty}, ...}: of a guest, or its shards; empty: no ticket is in the room
--           {{sale index, 'grant', reports, front, settled, units}, ...}: at the first shard
--             reports  of each shard {granted, active, waiting, free, held, soon}, or {} where it is away
--             front    the first places of all shards in their order: for each, the number of its shard
--             settled  whether every shard has all tickets back that its memory may have lost
--             units    those of all guests that buyers may get
--           {{sale index, 'let-in', granted, count, whole}, ...}
--             granted  admissions ever granted to this shard; count: how many of them to use now
--             whole    {waiting, of them here, active, free, held, whether it is full, pace, front}, for lib/room.lua
-- results   {'reported', granted, active, waiting, free, held, soon, settled, {place, ...}, session_ms}
--           {'units', free, held, soon}: none of a guest that is not open
--           {'granted', count, {granted to a shard, of them now, ...}, active, full, pace}
--           {'let-in', count} {'unknown-sale'} {'no-room'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room.lua

local FRONT = 256 -- places of the whole room that shards are told of, beyond those that a beat may admit

-- report(sale, room): what the shard has; of its places about twice its part of what all shards together need.
local function report(sale, room)
  count_active(sale, room)
  local most = math.ceil(2 * (math.min(admits_left, room.rule.rate) + FRONT) / room.shards) + 8
  local raw, places = redis.call('ZRANGE', room.waiting_key, 0, most - 1, 'WITHSCORES'), {}
  for i = 2, #raw, 2 do places[i / 2] = tonumber(raw[i]) end
  local granted = tonumber(redis.call('HGET', room.key, 'granted') or 0)
  return {'reported', granted, room.active, room.total, room.free, room.held, expiring_soon(sale, room), NOW >= room.settle_ms,
    places, room.rule.session_ms}
end

local function units_of_guest(sale, session_ms, empty)
  local guest = guest_of(sale, session_ms)
  if not guest then return {'no-room'} end
  if empty then redis.call('HSET', guest.key, 'empty_ms', NOW) end
  if status_now(sale.config) ~= 'open' then return {'units', 0, 0, 0} end
  count_stock(sale, guest)
  return {'units', guest.free, guest.held, expiring_soon(sale, guest)}
end

local function grant(room, reports, front, settled, units)
  local packed = redis.call('HGET', room.key, 'grants')
  local grants, active = packed and cmsgpack.unpack(packed) or {}, 0
  for i = 1, room.shards do
    local of_shard, known = reports[i], grants[i] or {0, 0} -- granted, and of those the ones that may be in
    if of_shard and #of_shard > 0 then
      local told, inside, _, free, _, soon = unpack(of_shard)
      local granted = math.max(known[1], told)
      known = {granted, granted - told + inside}
      units = units + free + soon
    end
    grants[i], active = known, active + known[2]
  end
  local most, credit, now = 0, 0, {}
  if settled and room.status == 'open' and NOW >= room.settle_ms then
    most, credit = allowed(room, active, units)
    most = math.min(most, #front)
  end
  for i = 1, most do
    local shard = front[i] + 1
    now[shard] = (now[shard] or 0) + 1
  end
  if most > 0 then spend(room, credit, most) end
  local told = {}
  for i = 1, room.shards do
    local count = now[i] or 0
    grants[i] = {grants[i][1] + count, grants[i][2] + count}
    told[2 * i - 1], told[2 * i] = grants[i][1], count
  end
  redis.call('HSET', room.key, 'grants', cmsgpack.pack(grants))
  active = active + most
  return {'granted', most, told, active, active >= room.rule.most, room.pace * math.exp(-(NOW - room.pace_ms) / PACE_MS)}
end

local function let_in_granted(sale, room, granted, count, whole)
  local told = tonumber(redis.call('HGET', room.key, 'granted') or 0)
  if granted < told then return {'let-in', 0} end -- a later beat came first
  local waiting, mine, active, free, held, full, pace, front = unpack(whole)
  local me, known = shard_number(sale), 0
  for i = 1, #front do
    if front[i] == me then known = known + 1 end
  end
  front = string.char(unpack(front)) -- a byte for each place
  redis.call('HSET', room.key, 'granted', granted, 'whole',
    cmsgpack.pack(waiting, mine, active, free, held, full, pace, front, known, NOW))
  if granted == told then return {'let-in', 0} end
  count_active(sale, room)
  return {'let-in', room.status == 'open' and let_in(room, count) or 0}
end

local function decide(sale, step, ...)
  if not sale.config then return {'unknown-sale'} end
  if step == 'units' then return units_of_guest(sale, ...) end
  local room = room_of(sale)
  if not room or room.doors or not room.shards then return {'no-room'} end
  if step == 'report' then return report(sale, room) end
  if step == 'grant' then return grant(room, ...) end
  return let_in_granted(sale, room, ...)
end

return run_batch(decide, nil, save_rooms)
