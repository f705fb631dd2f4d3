#!lua
-- load: writes one sale into memory from the ledger. A new sale, and a rebuild after memory was lost, are
-- the same verb; a long sale comes in several calls.
--
-- KEYS      partition, journal, then the six of the one sale (see lib/), then the set of sales, then the keys of
--           its waiting room (see lib/room.lua); to adopt, then the staged reservations and used
-- requests  {step, fence, config, items, records, deadlines, used, staged, habits, line, definition, reserved}
--             step      new     the partition is open and the sale not in memory yet
--                       first   a rebuild, under its own fence, drops what memory held, and writes the first page
--                       more    a rebuild writes another page
--                       adopt   a rebuild makes what it staged the sale's, if it is all there
--                       drop    a rebuild drops a sale that the ledger does not want in memory
--                       unload  the sale is closed and done with; forget it
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

local STEP, FENCE_OF_BUILDER, CONFIG, ITEMS, RECORDS, DEADLINES, USED, STAGED, HABITS, LINE, DEFINITION, RESERVED =
  unpack(REQUESTS, 1, 12)
local TICKET_MS = 86400000 -- no signed ticket counts for longer; see lib/room.lua
local SALE = string.match(KEYS[3], 'sale:(.+)$')
local SALE_KEY, RESERVATIONS_KEY, DEADLINES_KEY, USED_KEY, HABITS_KEY, LINE_KEY, SALES_KEY = unpack(KEYS, 3, 9)
local ROOM_KEY, SPENT_KEY = KEYS[10], KEYS[14]

-- A rebuild leaves the waiting room as it is: it is nowhere else, and what is there of it is true.
local function forget_sale()
  redis.call('UNLINK', SALE_KEY, RESERVATIONS_KEY, DEADLINES_KEY, USED_KEY, HABITS_KEY, LINE_KEY)
  redis.call('SREM', SALES_KEY, SALE)
end

local function forget_room()
  redis.call('UNLINK', unpack(KEYS, 10))
end

local function write_records()
  local fields = {}
  for i = 1, #RECORDS do
    local record = RECORDS[i]
    fields[#fields + 1] = record[1] -- its field's name
    fields[#fields + 1] = cmsgpack.pack(unpack(record, 2))
  end
  call('HSET', RESERVATIONS_KEY, fields)
end

local function write_line()
  local line, members = LINE or {}, {}
  local function add(member) members[#members + 1], members[#members + 2] = 0, member end
  for i = 1, #line, 5 do
    local sku, place, id, quantity, admitted = unpack(line, i, i + 4)
    add(place_member(sku, place, id))
    add(size_member(sku, entry_text(quantity, place, id), admitted))
    add(due_member(0, sku)) -- nobody knows any more what was free, or set aside
  end
  call('ZADD', LINE_KEY, members)
end

local function write_reserved()
  local reserved, spent = RESERVED or {}, {}
  for i = 1, #reserved, 2 do spent[i], spent[i + 1] = reserved[i + 1] + TICKET_MS, 'reserved ' .. reserved[i] end
  call('ZADD', SPENT_KEY, spent)
end

-- write_marks(): an entry '' in each key: one that is deleted or evicted, and filled anew by the next buyers, has lost it.
local function write_marks()
  redis.call('HSET', RESERVATIONS_KEY, '', '')
  redis.call('ZADD', DEADLINES_KEY, '+inf', '')
  redis.call('HSET', USED_KEY, '', 0)
  redis.call('HSET', HABITS_KEY, '', '0 0 0')
  redis.call('ZADD', LINE_KEY, 0, '')
end

-- write_page(): what this call brings of the sale; with the config, the sale is whole.
local function write_page()
  call('HSET', SALE_KEY, ITEMS)
  write_records()
  call('ZADD', DEADLINES_KEY, DEADLINES)
  call('HSET', USED_KEY, USED)
  call('HSET', HABITS_KEY, HABITS or {})
  write_line()
  write_reserved()
  if #CONFIG > 0 then
    redis.call('HSET', SALE_KEY, 'items', redis.call('HLEN', SALE_KEY)) -- all of them are there by now
    redis.call('HSET', SALE_KEY, 'config', cmsgpack.pack(unpack(CONFIG)))
    redis.call('SADD', SALES_KEY, SALE)
    write_marks()
  end
  return 'loaded'
end

local function new()
  if redis.call('HEXISTS', SALE_KEY, 'config') == 1 then return 'exists' end
  write_page()
  if #CONFIG > 0 then
    local rules = CONFIG[8]
    if rules and rules.room then redis.call('HSET', ROOM_KEY, 'born_ms', NOW) end
    if DEFINITION then append({{'create', SALE, '', {}, NOW, DEFINITION}}, {}) end
  end
  return 'loaded'
end

local function first()
  forget_sale()
  return write_page()
end

local function adopt()
  local staged_records, staged_used = KEYS[#KEYS - 1], KEYS[#KEYS]
  local moves = {{staged_records, RESERVATIONS_KEY, STAGED[1]}, {staged_used, USED_KEY, STAGED[2]}}
  for i = 1, 2 do
    local from, to, count = unpack(moves[i])
    if redis.call('HLEN', from) ~= count then return 'incomplete' end
    if count > 0 then
      redis.call('PERSIST', from)
      redis.call('RENAME', from, to)
    end
  end
  return write_page()
end

local function drop()
  forget_sale()
  forget_room()
  return 'loaded'
end

local function unload()
  if redis.call('ZCOUNT', DEADLINES_KEY, '-inf', '(+inf') > 0 then return 'busy' end
  return drop()
end

local STEPS = {new = new, first = first, more = write_page, adopt = adopt, drop = drop, unload = unload}

if STEP == 'new' or STEP == 'unload' then
  local refusal = closed()
  if refusal then return answer(refusal) end
elseif FENCE ~= FENCE_OF_BUILDER then
  return answer('recovering')
else
  redis.call('HSET', KEYS[1], 'building_ms', NOW) -- a builder that makes progress is left alone
end
return answer('', {STEPS[STEP]()})
