-- The sales a batch touches: each key is read once and written once, however many requests name it.
--
-- From KEYS[3] on, six keys per sale, in this order:
--   sale          hash   config -> msgpack status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit (0: none), and
--                                  durability of its holds, unless that is the disk ('' when rules follow), and
--                                  rules: a map of optional rules by name, unless it has none
--                                    room   the sale has a waiting room: who takes units must have been admitted
--                                    others: see habits.lua and waiting.lua
--                        items  -> how many items it has, so that one that is lost is not taken for unknown
--                        item:<sku> -> "stock held sold", and owed and until_ms where the waiting list asks: see waiting.lua
--   reservations  hash   id -> msgpack record (see below)
--   deadlines     zset   id of each live hold, scored by expires_ms
--   used          hash   customer -> units held or bought
--   habits        hash   customer -> what the sale's rules count of them: see habits.lua
--   line          zset   who waits for units: see waiting.lua
--
-- All but the first have one entry named '', which load puts there; see verify.
--
-- Records:  held      HELD, fingerprint, created_ms, hold_ms, expires_ms - created_ms, customer, lines, extensions
--           terminal  status, fingerprint, created_ms, hold_ms, ended_ms - created_ms, seq of its journal entry
--           restock   'restock', fingerprint, stock, held, sold, seq; change 'sale-change', verb, status, 0, 0, seq
-- hold_ms is how long the hold was first given: 0 for a direct buy. lines = {sku, quantity, sku, quantity, ...};
-- extensions = {key fingerprint, expires_ms, ...}.

--@include lib/habits.lua

local HELD, CONFIRMED, RELEASED, EXPIRED, CANCELLED = 1, 2, 3, 4, 5
local REFUSAL = {[CONFIRMED] = 'reservation-confirmed', [RELEASED] = 'reservation-released', [EXPIRED] = 'reservation-expired',
  [CANCELLED] = 'reservation-cancelled'}
local RECLAIM_PAGE, RECLAIM_MOST = 200, 5000 -- ended holds taken back at a time, and by one call
local KEYS_PER_SALE = 6

local NO_RULES = {}
local stir, wake, hand_out, learn_waiting -- see waiting.lua
local transitions = {} -- of this batch, in order
local SALES = {}       -- index -> sale, index as the requests name it (0-based)

-- sale_at(index): the sale's state in this batch; sale.config is nil when the sale is not in memory.
local function sale_at(index)
  local sale = SALES[index]
  if sale then return sale end
  local at = 3 + index * KEYS_PER_SALE
  sale = {
    key = KEYS[at], reservations_key = KEYS[at + 1], deadlines_key = KEYS[at + 2], used_key = KEYS[at + 3],
    habits_key = KEYS[at + 4], line_key = KEYS[at + 5],
    id = string.match(KEYS[at], 'sale:(.+)$'),
    items = {}, records = {}, used = {}, -- what has been read, by sku, id and customer
    items_changed = {}, records_changed = {}, used_changed = {},
    heads = {}, owed_changed = {}, deadlines_added = {}, deadlines_removed = {}, reclaimed = 0, drained = false,
  }
  SALES[index] = sale
  return sale
end

-- has_items(sale, count): memory has so many items of the sale.
local function has_items(sale, count)
  return redis.call('HLEN', sale.key) - 2 >= count -- config and items are fields as well
end

-- unknown_item(sale, sku): the refusal of a request for an item that memory does not have: it may have lost it.
local function unknown_item(sale, sku)
  local count = tonumber(redis.call('HGET', sale.key, 'items'))
  if not count or not has_items(sale, count) then return {'recovering'} end
  return {'unknown-item', sku}
end

local function parse_item(text)
  local stock, held, sold = string.match(text, '^(%d+) (%d+) (%d+)$')
  if stock then return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold)} end
  local owed, until_ms
  stock, held, sold, owed, until_ms = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold), owed = owed ~= '0' and tonumber(owed) or nil,
    until_ms = until_ms ~= '0' and tonumber(until_ms) or nil}
end

local function item_text(item)
  local text = string.format('%.0f %.0f %.0f', item.stock, item.held, item.sold)
  if not item.owed and not item.until_ms then return text end
  return text .. string.format(' %.0f %.0f', item.owed or 0, item.until_ms or 0)
end

-- Readers: what prefetch did not bring is read one by one.
local function item_of(sale, sku)
  local item = sale.items[sku]
  if item == nil then
    local text = redis.call('HGET', sale.key, 'item:' .. sku)
    item = text and parse_item(text) or false
    sale.items[sku] = item
  end
  return item
end

local function record_of(sale, id)
  local record = sale.records[id]
  if record == nil then
    local blob = redis.call('HGET', sale.reservations_key, id)
    record = blob and {cmsgpack.unpack(blob)} or false
    sale.records[id] = record
  end
  return record
end

local function used_by(sale, customer)
  local units = sale.used[customer]
  if units == nil then
    units = tonumber(redis.call('HGET', sale.used_key, customer) or 0)
    sale.used[customer] = units
  end
  return units
end

-- prefetch(): the config of each sale, and all that the requests name, in three commands per sale.
-- wants: index -> {skus = {...}, ids = {...}, customers = {...}}, as `wanted` collects them.
local function prefetch(wants)
  for index, want in pairs(wants) do
    local sale = sale_at(index)
    local fields = {'config'}
    for i = 1, #want.skus do fields[i + 1] = 'item:' .. want.skus[i] end
    local values = hmget(sale.key, fields)
    if values[1] then
      local status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability, rules = cmsgpack.unpack(values[1])
      sale.config = {status = status, starts_ms = starts_ms, ends_ms = ends_ms, hold_ms = hold_ms,
        max_hold_ms = max_hold_ms, limit = limit, durability = durability or '', rules = rules or NO_RULES}
      if rules then
        count_habits(sale)
        if rules.waiting_most then
          learn_waiting()
          sale.stirred = sale.stirred or {}
        end
      end
    end
    for i = 1, #want.skus do
      local text = values[i + 1]
      sale.items[want.skus[i]] = text and parse_item(text) or false
    end
    values = hmget(sale.reservations_key, want.ids)
    for i = 1, #want.ids do
      sale.records[want.ids[i]] = values[i] and {cmsgpack.unpack(values[i])} or false
    end
    values = hmget(sale.used_key, want.customers)
    for i = 1, #want.customers do
      sale.used[want.customers[i]] = tonumber(values[i] or 0)
    end
    if sale.habits then
      values = hmget(sale.habits_key, want.customers)
      for i = 1, #want.customers do sale.habits[want.customers[i]] = parse_habits(values[i]) end
    end
  end
end

-- status_now(config): the status that holds at NOW: a scheduled sale opens, an open one ends, by the clock.
local function status_now(config)
  local status = config.status
  if status == 'scheduled' and NOW >= config.starts_ms then status = 'open' end
  if (status == 'open' or status == 'scheduled' or status == 'paused') and config.ends_ms > 0 and NOW >= config.ends_ms then
    status = 'closed'
  end
  return status
end

-- more_than_disk(config): how a hold must be kept before it is answered, where the sale says so; else nil.
local function more_than_disk(config)
  return config.durability ~= '' and config.durability or nil
end

-- move(sale, lines, field, sign): adds sign * quantity to one counter of each line's item.
local function move(sale, lines, field, sign)
  for i = 1, #lines, 2 do
    local item = item_of(sale, lines[i])
    item[field] = item[field] + sign * lines[i + 1]
    sale.items_changed[lines[i]] = item
    if sale.stirred then stir(sale, lines[i]) end
  end
end

local function units_of(lines)
  local units = 0
  for i = 2, #lines, 2 do units = units + lines[i] end
  return units
end

local function add_used(sale, customer, units)
  local total = used_by(sale, customer) + units
  sale.used[customer] = total
  sale.used_changed[customer] = total
end

local function put_record(sale, id, record)
  sale.records[id] = record
  sale.records_changed[id] = record
end

-- unrecorded(record): the seq of the entry that ended it while the ledger may lack it; 0 once it is recorded.
local function unrecorded(record)
  return record[6] > RECORDED and record[6] or 0
end

-- barred(sale, customer, units, hold): why this customer may not have so many more, as a result; nil when they may.
local function barred(sale, customer, units, hold)
  local config = sale.config
  if config.limit > 0 and used_by(sale, customer) + units > config.limit then
    return {'limit-reached', config.limit, used_by(sale, customer)}
  end
  local most = hold and config.rules.max_held
  if most and habits_of(sale, customer).held + units > most then
    return {'hold-budget-reached', most, habits_of(sale, customer).held}
  end
  return nil
end

-- cools_until(sale, customer): until when this customer may hold nothing, by what is known of them; 0 when they may.
local function cools_until(sale, customer)
  local rules = sale.config.rules
  if not rules.cool_down_ms then return 0 end
  local habits = habits_of(sale, customer)
  return habits.lapses >= (rules.cool_down_after or COOL_DOWN_AFTER) and habits.last_ms + rules.cool_down_ms or 0
end

-- finish(sale, id, record, status): ends a live hold; its units are sold, or go back to stock.
local function finish(sale, id, record, status, ended_ms)
  local verb = ({[CONFIRMED] = 'confirm', [RELEASED] = 'release', [EXPIRED] = 'expire'})[status]
  local customer, lines = record[6], record[7]
  move(sale, lines, 'held', -1)
  if sale.habits then count_held(sale, customer, -units_of(lines)) end
  if status == CONFIRMED then
    move(sale, lines, 'sold', 1)
  else
    add_used(sale, customer, -units_of(lines))
    if sale.habits then count_lapse(sale, customer, ended_ms, 1) end
  end
  if sale.stirred then wake(sale, customer) end
  put_record(sale, id, {status, record[2], record[3], record[4], ended_ms - record[3], SEQ + 1})
  sale.deadlines_removed[#sale.deadlines_removed + 1] = id
  transitions[#transitions + 1] = {verb, sale.id, id, lines, ended_ms}
end

-- reclaim(sale): takes back up to a page of holds whose time has ended; false when none is left.
local function reclaim(sale)
  if sale.drained then return false end
  local ids = redis.call('ZRANGEBYSCORE', sale.deadlines_key, '-inf', NOW, 'LIMIT', sale.reclaimed, RECLAIM_PAGE)
  sale.reclaimed = sale.reclaimed + #ids
  if #ids < RECLAIM_PAGE then sale.drained = true end
  local missing = {}
  for i = 1, #ids do
    if sale.records[ids[i]] == nil then missing[#missing + 1] = ids[i] end
  end
  local values = hmget(sale.reservations_key, missing)
  for i = 1, #missing do
    sale.records[missing[i]] = values[i] and {cmsgpack.unpack(values[i])} or false
  end
  for i = 1, #ids do
    local record = sale.records[ids[i]]
    if record and record[1] == HELD then
      finish(sale, ids[i], record, EXPIRED, record[3] + record[5])
    end
  end
  if sale.stirred then hand_out(sale) end
  return #ids > 0
end

-- flush(): writes every changed key once, then the journal entry. Nothing changed: nothing is written.
local function flush()
  local counters = {}
  for _, sale in pairs(SALES) do
    local fields = {}
    for sku, item in pairs(sale.items_changed) do
      fields[#fields + 1] = 'item:' .. sku
      fields[#fields + 1] = item_text(item)
      counters[#counters + 1] = {sale.id, sku, item.stock, item.held, item.sold}
    end
    for sku, item in pairs(sale.owed_changed) do
      if not sale.items_changed[sku] then
        fields[#fields + 1] = 'item:' .. sku
        fields[#fields + 1] = item_text(item)
      end
    end
    if sale.config_changed then
      local c = sale.config
      fields[#fields + 1] = 'config'
      if next(c.rules) then
        fields[#fields + 1] = cmsgpack.pack(c.status, c.starts_ms, c.ends_ms, c.hold_ms, c.max_hold_ms, c.limit,
          c.durability, c.rules)
      else
        fields[#fields + 1] = cmsgpack.pack(c.status, c.starts_ms, c.ends_ms, c.hold_ms, c.max_hold_ms, c.limit,
          more_than_disk(c))
      end
    end
    call('HSET', sale.key, fields)
    fields = {}
    for id, record in pairs(sale.records_changed) do
      fields[#fields + 1] = id
      fields[#fields + 1] = cmsgpack.pack(unpack(record))
    end
    call('HSET', sale.reservations_key, fields)
    call('ZADD', sale.deadlines_key, sale.deadlines_added)
    call('ZREM', sale.deadlines_key, sale.deadlines_removed)
    local kept, gone = {}, {}
    for customer, units in pairs(sale.used_changed) do
      if units > 0 then
        kept[#kept + 1] = customer
        kept[#kept + 1] = units
      else
        gone[#gone + 1] = customer
      end
    end
    call('HSET', sale.used_key, kept)
    call('HDEL', sale.used_key, gone)
    if sale.habits then write_habits(sale) end
  end
  if #transitions > 0 then append(transitions, counters) end
end

-- wanted(): collects what a batch will read. add(index, id, customer) and add_sku(index, sku): any may be nil.
-- Few items, many buyers: a sku is read once, while an id or a customer named twice is simply read twice.
local function wanted()
  local wants, seen = {}, {}
  local function want_of(index)
    local want = {skus = {}, ids = {}, customers = {}}
    wants[index], seen[index] = want, {}
    return want
  end
  return wants, function(index, id, customer)
    local want = wants[index] or want_of(index)
    if id then want.ids[#want.ids + 1] = id end
    if customer then want.customers[#want.customers + 1] = customer end
  end, function(index, sku)
    local want = wants[index] or want_of(index)
    if not seen[index][sku] then
      seen[index][sku] = true
      want.skus[#want.skus + 1] = sku
    end
  end
end

--@include lib/waiting.lua
