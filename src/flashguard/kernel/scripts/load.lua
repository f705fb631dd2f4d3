#!lua
-- load: writes one sale from the ledger into memory, when the sale is new and when memory is rebuilt. A long sale is
-- loaded by several calls.
--
-- KEYS      partition, journal, then the six of the one sale (see lib/), then the set of sales, then the keys of
--           its waiting room (see lib/room.lua); to adopt, then the staged reservations and used
-- requests  {step, fence, config, items, records, deadlines, used, staged, history, queue, definition, reserved, recipes}
--             step      new     writes a sale that memory does not have, on an open partition
--                       first   of a rebuild, under its fence: removes the sale from memory and writes the first page
--                       more    of a rebuild: writes another page
--                       adopt   of a rebuild: renames the staged hashes to the sale's own, if they are complete
--                       drop    of a rebuild: removes a sale that does not belong into memory
--                       unload  removes a closed sale without live holds, on an open partition
--                       bury    removes what is left of a deleted draft that the ledger does not have, on an open partition
--             config    {status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability unless it is the
--                       disk, rules unless it has none}, or {} in a call that is not the last
--             items     {field, "stock held sold", ...}    records   {{id, {value, value, ...}}, ...}
--             deadlines {expires_ms, id, ...}              used      {customer, units, ...}
--             staged    {records, customers}: how many were staged, for adopt; or nothing
--             history   {customer, "held expired last_ms", ...}, or nothing
--             queue     {sku, place, id, quantity, admitted, ...} of the entries that wait, or nothing
--             definition  of a new sale: what restores it in a ledger that lost it, for the journal; or nothing
--             reserved  {customer, created_ms of their newest hold or order, ...} of a sale with a waiting room, or nothing
--             recipes   {field, recipe, ...} of a sale with pools, see lib/pools.lua, or nothing
-- results   {'loaded'} {'exists'} {'busy'} {'incomplete'} {'deleted'}; status 'recovering' when another fence stands
--
-- The rule: a rebuilt sale is complete only if no key of it was deleted since the first page. Its keys are marked there. A
-- rebuild is complete only if this memory has each of its calls: they are counted, see unfence.lua.

--@include lib/partition.lua
--@include lib/queue.lua

local STEP, FENCE_OF_BUILDER, CONFIG, ITEMS, RECORDS, DEADLINES, USED, STAGED, HISTORY, QUEUE, DEFINITION, RESERVED, RECIPES =
  unpack(REQUESTS, 1, 13)
local TICKET_MS = 86400000 -- no signed ticket counts for longer; see lib/room.lua
local SALE = string.match(KEYS[3], 'sale:(.+)$')
local SALE_KEY, RESERVATIONS_KEY, DEADLINES_KEY, USED_KEY, HISTORY_KEY, QUEUE_KEY, SALES_KEY = unpack(KEYS, 3, 9)
local ROOM_KEY, SPENT_KEY = KEYS[10], KEYS[14]

-- A rebuild keeps the waiting room: nothing else has it, and what memory has of it is true.
local function forget_sale()
  redis.call('UNLINK', SALE_KEY, RESERVATIONS_KEY, DEADLINES_KEY, USED_KEY, HISTORY_KEY, QUEUE_KEY)
  redis.call('SREM', SALES_KEY, SALE)
end

local function forget_room()
  redis.call('UNLINK', unpack(KEYS, 10))
end

local function write_records()
  local fields = {}
  for i = 1, #RECORDS do
    local name, record = unpack(RECORDS[i])
    fields[#fields + 1] = name
    fields[#fields + 1] = pack(unpack(record))
  end
  call('HSET', RESERVATIONS_KEY, fields)
end

local function write_queue()
  local queue, members = QUEUE or {}, {}
  local function add(member) members[#members + 1], members[#members + 2] = 0, member end
  for i = 1, #queue, 5 do
    local sku, place, id, quantity, admitted = unpack(queue, i, i + 4)
    add(place_member(sku, place, id))
    add(size_member(sku, entry_text(quantity, place, id), admitted))
    add(due_member(0, sku)) -- which units were free or set aside is lost
  end
  call('ZADD', QUEUE_KEY, members)
end

local function write_reserved()
  local reserved, spent = RESERVED or {}, {}
  for i = 1, #reserved, 2 do spent[i], spent[i + 1] = reserved[i + 1] + TICKET_MS, 'reserved ' .. reserved[i] end
  call('ZADD', SPENT_KEY, spent)
end

local function write_recipes()
  local recipes, fields = RECIPES or {}, {}
  for i = 1, #recipes, 2 do fields[i], fields[i + 1] = recipes[i], pack(recipes[i + 1]) end
  call('HSET', SALE_KEY, fields)
end

-- write_aside(): units of a spread sale that are set aside for entries of other shards, see lib/shard_list.lua.
local function write_aside()
  local members = {}
  for i = 1, #ITEMS, 2 do
    local set_aside = string.match(ITEMS[i + 1], '^%d+ %d+ %d+ (%d+)')
    if set_aside and set_aside ~= '0' then members[#members + 1], members[#members + 2] = 0, 'w' .. string.sub(ITEMS[i], 6) end
  end
  call('ZADD', QUEUE_KEY, members)
end

-- write_marks(): an entry '' in each key. A key that was deleted or evicted, and written again by later requests, lacks it.
-- mark_adopted(): the same for the keys that staged ones have replaced.
local function mark_adopted()
  redis.call('HSET', RESERVATIONS_KEY, '', '')
  redis.call('HSET', USED_KEY, '', 0)
end

local function write_marks()
  mark_adopted()
  redis.call('ZADD', DEADLINES_KEY, '+inf', '')
  redis.call('HSET', HISTORY_KEY, '', '0 0 0')
  redis.call('ZADD', QUEUE_KEY, 0, '')
end

local function has_marks()
  return redis.call('HEXISTS', RESERVATIONS_KEY, '') == 1 and redis.call('ZSCORE', DEADLINES_KEY, '')
    and redis.call('HEXISTS', USED_KEY, '') == 1 and redis.call('HEXISTS', HISTORY_KEY, '') == 1
    and redis.call('ZSCORE', QUEUE_KEY, '')
end

-- write_page(): writes what this call brings. The config comes last, and makes the sale complete.
local function write_page()
  call('HSET', SALE_KEY, ITEMS)
  write_recipes()
  write_records()
  call('ZADD', DEADLINES_KEY, DEADLINES)
  call('HSET', USED_KEY, USED)
  call('HSET', HISTORY_KEY, HISTORY or {})
  write_queue()
  write_aside()
  write_reserved()
  if #CONFIG > 0 then
    redis.call('HSET', SALE_KEY, 'items', redis.call('HLEN', SALE_KEY)) -- all of them are loaded
    redis.call('HSET', SALE_KEY, 'config', pack(unpack(CONFIG)))
    redis.call('SADD', SALES_KEY, SALE)
  end
  return 'loaded'
end

local function new()
  if redis.call('HEXISTS', SALE_KEY, 'config') == 1 then return 'exists' end
  if redis.call('HEXISTS', SALE_KEY, 'deleted') == 1 then return 'deleted' end
  write_marks()
  write_page()
  if #CONFIG > 0 then
    local rules = CONFIG[8]
    if rules and rules.room then redis.call('HSET', ROOM_KEY, 'born_ms', NOW) end
    if DEFINITION then
      note(pack({'create', SALE, '', {}, NOW, DEFINITION}))
      append({})
    end
  end
  return 'loaded'
end

local function first()
  forget_sale()
  write_marks()
  return write_page()
end

local function more()
  if #CONFIG > 0 and not has_marks() then return 'incomplete' end
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
  mark_adopted()
  return write_page()
end

local function drop()
  forget_sale()
  forget_room()
  return 'loaded'
end

local function unload()
  local all = redis.call('HGETALL', SALE_KEY)
  for i = 1, #all, 2 do
    local held = string.sub(all[i], 1, 5) == 'item:' and string.match(all[i + 1], '^%d+ (%d+)')
    if held and held ~= '0' then return 'busy' end
  end
  return drop()
end

local function bury()
  if redis.call('EXISTS', SALE_KEY) == 1 and redis.call('HEXISTS', SALE_KEY, 'deleted') == 0 then return 'busy' end
  return drop() -- another may have removed it in the meantime
end

local STEPS = {new = new, first = first, more = more, adopt = adopt, drop = drop, unload = unload, bury = bury}
local ON_AN_OPEN_PARTITION = {new = true, unload = true, bury = true}

if ON_AN_OPEN_PARTITION[STEP] then
  local refusal = closed()
  if refusal then return answer(refusal) end
elseif FENCE ~= FENCE_OF_BUILDER then
  return answer('recovering')
else
  local loads = tonumber(redis.call('HGET', KEYS[1], 'loads') or 0) + 1
  redis.call('HSET', KEYS[1], 'building_ms', NOW, 'loads', loads) -- a builder that makes progress is not replaced
end
return answer('', {STEPS[STEP]()})
