#!lua
-- load: writes one sale into memory from the ledger. A new sale, and a rebuild after memory was lost, are
-- the same verb; a long sale comes in several calls.
--
-- KEYS      partition, journal, then the six of the one sale (see lib/), then the set of sales, then the keys of
--           its waiting room (see lib/room.lua); to adopt, then the staged reservations and used
-- requests  {step, fence, config, items, records, deadlines, used, staged, habits, line, definition, reserved}
--             step      'new': the partition is open and the sale not in memory yet
--                       'first', 'more': a rebuild under our own fence; first drops what memory held
--                       'adopt': what the rebuild staged becomes the sale's, if it is all there
--                       'drop': a rebuild drops a sale that the ledger does not want in memory
--                       'unload': the sale is closed and done with; forget it
--             config    {status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability unless it is the
--                       disk, rules unless it has none}, or {} when it came before
--             items     {field, "stock held sold", ...}    records   {{id, value, value, ...}, ...}
--             deadlines {expires_ms, id, ...}              used      {customer, units, ...}
--             staged    {records, customers}: how many were staged, to adopt; or nothing
--             habits    {customer, "held lapses last_ms", ...}, or nothing
--             line      {sku, place, id, quantity, admitted, ...} of those who wait, or nothing
--             definition  of a sale that is new: what restores it in a ledger that lost it, for the journal; or nothing
--             reserved  {customer, created_ms of their newest hold or order, ...} of a sale with a waiting room, or nothing
-- results   {'loaded'} {'exists'} {'busy'} {'incomplete'}; status 'recovering' when the fence is not ours

--@include lib/partition.lua
--@include lib/line.lua

local step, fence, config, items = REQUESTS[1], REQUESTS[2], REQUESTS[3], REQUESTS[4]
local records, deadlines, used = REQUESTS[5], REQUESTS[6], REQUESTS[7]
local staged, habits = REQUESTS[8], REQUESTS[9]
local TICKET_MS = 86400000 -- no signed ticket counts for longer; see lib/room.lua
local name, sales_key = string.match(KEYS[3], 'sale:(.+)$'), KEYS[9]

local function forget()
  redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8])
  redis.call('SREM', sales_key, name)
end

-- A rebuild leaves the waiting room as it is: it is nowhere else, and what is there of it is true.
local function forget_room()
  redis.call('UNLINK', unpack(KEYS, 10))
end

if step == 'new' or step == 'unload' then
  local refusal = closed()
  if refusal then return answer(refusal) end
elseif FENCE ~= fence then
  return answer('recovering')
else
  redis.call('HSET', KEYS[1], 'building_ms', NOW) -- a builder that makes progress is left alone
end

if step == 'unload' then
  if redis.call('ZCOUNT', KEYS[5], '-inf', '(+inf') > 0 then return answer('', {'busy'}) end
  forget()
  forget_room()
  return answer('', {'loaded'})
elseif step == 'drop' then
  forget()
  forget_room()
  return answer('', {'loaded'})
elseif step == 'new' and redis.call('HEXISTS', KEYS[3], 'config') == 1 then
  return answer('', {'exists'})
elseif step == 'first' then
  forget()
elseif step == 'adopt' then
  for i = 1, 2 do
    local from, to = KEYS[#KEYS - 2 + i], KEYS[i == 1 and 4 or 6]
    if redis.call('HLEN', from) ~= staged[i] then return answer('', {'incomplete'}) end
    if staged[i] > 0 then
      redis.call('PERSIST', from)
      redis.call('RENAME', from, to)
    end
  end
end

call('HSET', KEYS[3], items)
local fields = {}
for i = 1, #records do
  fields[#fields + 1] = records[i][1]
  fields[#fields + 1] = cmsgpack.pack(unpack(records[i], 2))
end
call('HSET', KEYS[4], fields)
call('ZADD', KEYS[5], deadlines)
call('HSET', KEYS[6], used)
call('HSET', KEYS[7], habits or {})
local line, members = REQUESTS[10] or {}, {}
local function member(text) members[#members + 1], members[#members + 2] = 0, text end
for i = 1, #line, 5 do
  local sku, place, id, quantity, admitted = unpack(line, i, i + 4)
  member(place_member(sku, place, id))
  member(size_member(sku, entry_text(quantity, place, id), admitted))
  member(due_member(0, sku)) -- nobody knows any more what was free, or set aside
end
call('ZADD', KEYS[8], members)
local reserved, spent = REQUESTS[12] or {}, {}
for i = 1, #reserved, 2 do spent[i], spent[i + 1] = reserved[i + 1] + TICKET_MS, 'reserved ' .. reserved[i] end
call('ZADD', KEYS[14], spent)
if #config > 0 then
  redis.call('HSET', KEYS[3], 'items', redis.call('HLEN', KEYS[3])) -- all of them are there by now
  redis.call('HSET', KEYS[3], 'config', cmsgpack.pack(unpack(config)))
  redis.call('SADD', sales_key, name)
  -- A mark in each key: one that is deleted or evicted, and filled anew by the next buyers, has lost it.
  redis.call('HSET', KEYS[4], '', '')
  redis.call('ZADD', KEYS[5], '+inf', '')
  redis.call('HSET', KEYS[6], '', 0)
  redis.call('HSET', KEYS[7], '', '0 0 0')
  redis.call('ZADD', KEYS[8], 0, '')
  if step == 'new' and config[8] and config[8].room then redis.call('HSET', KEYS[10], 'born_ms', NOW) end
  if step == 'new' and REQUESTS[11] then append({{'create', name, '', {}, NOW, REQUESTS[11]}}, {}) end
end
return answer('', {'loaded'})
