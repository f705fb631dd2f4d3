-- The sales a batch touches: each key is read once and written once, however many requests name it.
--
-- From KEYS[3] on, six keys per sale, in this order:
--   sale          hash   config and item:<sku>: see records.lua
--                        items  -> number of its items, so that a lost item is not refused as unknown
--   reservations  hash   the records: see records.lua
--   deadlines     zset   id of each live hold, scored by expires_ms
--   used          hash   customer -> units held or bought
--   habits        hash   customer -> hold history: see history.lua
--   line          zset   the queue of the waiting list: see waiting.lua
--
-- All but the first have one entry named '', which load writes; see verify.
--
-- Optional rules: room, for a sale with a waiting room, where a buyer must have been admitted; spread, of a shard, the number
-- of the sale's shards; others in history.lua and waiting.lua.

--@include lib/records.lua
--@include lib/history.lua

local EXPIRE_PAGE, EXPIRE_MOST = 200, 5000 -- holds expired at a time, and by one call
local KEYS_PER_SALE = 6

local touch, wake, serve_waiting, learn_waiting -- see waiting.lua
local transitions = {} -- of this batch, in order
local SALES = {}       -- index -> sale, index as the requests name it (0-based)

-- sale_at(index): the sale in this batch; sale.config is nil when the sale is not in memory.
local function sale_at(index)
  local sale = SALES[index]
  if sale then return sale end
  local at = 3 + index * KEYS_PER_SALE
  sale = {
    index = index, key = KEYS[at], reservations_key = KEYS[at + 1], deadlines_key = KEYS[at + 2], used_key = KEYS[at + 3],
    history_key = KEYS[at + 4], queue_key = KEYS[at + 5],
    id = string.match(KEYS[at], 'sale:(.+)$'),
    items = {}, records = {}, used = {}, -- what has been read, by sku, id and customer
    items_changed = {}, records_changed = {}, used_changed = {},
    heads = {}, set_aside_changed = {}, deadlines_added = {}, deadlines_removed = {}, expired_count = 0, drained = false,
  }
  SALES[index] = sale
  return sale
end

-- has_items(sale, count): whether memory has this number of the sale's items.
local function has_items(sale, count)
  return redis.call('HLEN', sale.key) - 2 >= count -- config and items are fields as well
end

-- unknown_item(sale, sku): the refusal for an item that memory does not have, and may have lost.
local function unknown_item(sale, sku)
  local count = tonumber(redis.call('HGET', sale.key, 'items'))
  if not count or not has_items(sale, count) then return {'recovering'} end
  return {'unknown-item', sku}
end

-- Readers: what prefetch has not read is read one by one.
local function item_of(sale, sku)
  local item = sale.items[sku]
  if item == nil then
    local text = redis.call('HGET', sale.key, 'item:' .. sku)
    item = text and read_item(text) or false
    sale.items[sku] = item
  end
  return item
end

local function record_of(sale, id)
  local record = sale.records[id]
  if record == nil then
    record = read_record(redis.call('HGET', sale.reservations_key, id))
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

-- status_now(config): the status that holds at NOW: a scheduled sale opens, an open one ends, by the clock.
local function status_now(config)
  local status = config.status
  if status == 'scheduled' and NOW >= config.starts_ms then status = 'open' end
  if (status == 'open' or status == 'scheduled' or status == 'paused') and config.ends_ms > 0 and NOW >= config.ends_ms then
    status = 'closed'
  end
  return status
end

-- move(sale, lines, field, sign): adds sign * quantity to one counter of each line's item.
local function move(sale, lines, field, sign)
  for i = 1, #lines, 2 do
    local item = item_of(sale, lines[i])
    item[field] = item[field] + sign * lines[i + 1]
    sale.items_changed[lines[i]] = item
    if sale.touched then touch(sale, lines[i]) end
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

-- over_limit(sale, customer, units, hold): why this customer may not have these units too, as a result; nil when they may.
local function over_limit(sale, customer, units, hold)
  local config = sale.config
  if config.limit > 0 and used_by(sale, customer) + units > config.limit then
    return {'limit-reached', config.limit, used_by(sale, customer)}
  end
  local most = hold and config.rules.max_held
  if most and history_of(sale, customer).held + units > most then
    return {'hold-budget-reached', most, history_of(sale, customer).held}
  end
  return nil
end

-- cooling_until(sale, customer): until when this customer may hold nothing, by their history so far; 0 when they may.
local function cooling_until(sale, customer)
  local rules = sale.config.rules
  if not rules.cool_down_ms then return 0 end
  local history = history_of(sale, customer)
  return history.expired >= (rules.cool_down_after or COOL_DOWN_AFTER) and history.last_ms + rules.cool_down_ms or 0
end

-- hold_units(sale, id, fingerprint, customer, lines, hold_ms): makes a hold of units that are available.
local function hold_units(sale, id, fingerprint, customer, lines, hold_ms)
  local units = units_of(lines)
  add_used(sale, customer, units)
  move(sale, lines, 'held', 1)
  if sale.history then count_held(sale, customer, units) end
  put_record(sale, id, {status = HELD, fingerprint = fingerprint, created_ms = NOW, hold_ms = hold_ms,
    expires_ms = NOW + hold_ms, customer = customer, lines = lines, extensions = {}})
  local added = sale.deadlines_added
  added[#added + 1] = NOW + hold_ms
  added[#added + 1] = id
  transitions[#transitions + 1] = {'hold', sale.id, id, lines, NOW, fingerprint, customer, hold_ms}
end

-- end_hold(sale, id, record, status, ended_ms): ends a live hold; its units are sold, or available again.
local function end_hold(sale, id, record, status, ended_ms)
  local verb = status == CONFIRMED and 'confirm' or status == RELEASED and 'release' or 'expire'
  local customer, lines = record.customer, record.lines
  move(sale, lines, 'held', -1)
  if sale.history then count_held(sale, customer, -units_of(lines)) end
  if status == CONFIRMED then
    move(sale, lines, 'sold', 1)
  else
    add_used(sale, customer, -units_of(lines))
    if sale.history then count_expired(sale, customer, ended_ms, 1) end
  end
  if sale.touched then wake(sale, customer) end
  put_record(sale, id, {status = status, fingerprint = record.fingerprint, created_ms = record.created_ms,
    hold_ms = record.hold_ms, ended_ms = ended_ms, seq = SEQ + 1})
  sale.deadlines_removed[#sale.deadlines_removed + 1] = id
  transitions[#transitions + 1] = {verb, sale.id, id, lines, ended_ms}
end

-- expire_page(sale): expires up to a page of holds past their end; false when none is left.
local function expire_page(sale)
  if sale.drained then return false end
  local ids = redis.call('ZRANGEBYSCORE', sale.deadlines_key, '-inf', NOW, 'LIMIT', sale.expired_count, EXPIRE_PAGE)
  sale.expired_count = sale.expired_count + #ids
  if #ids < EXPIRE_PAGE then sale.drained = true end
  local missing = {}
  for i = 1, #ids do
    if sale.records[ids[i]] == nil then missing[#missing + 1] = ids[i] end
  end
  local values = hmget(sale.reservations_key, missing)
  for i = 1, #missing do
    sale.records[missing[i]] = read_record(values[i])
  end
  for i = 1, #ids do
    local record = sale.records[ids[i]]
    if record and record.status == HELD then
      end_hold(sale, ids[i], record, EXPIRED, record.expires_ms)
    end
  end
  if sale.touched then serve_waiting(sale) end
  return #ids > 0
end

-- flush(): writes every changed key once, then the journal entry. Without a change it writes nothing.
local function flush()
  local counters = {}
  for _, sale in pairs(SALES) do
    local fields = {}
    for sku, item in pairs(sale.items_changed) do
      fields[#fields + 1] = 'item:' .. sku
      fields[#fields + 1] = item_text(item)
      counters[#counters + 1] = {sale.id, sku, item.stock, item.held, item.sold}
    end
    for sku, item in pairs(sale.set_aside_changed) do
      if not sale.items_changed[sku] then
        fields[#fields + 1] = 'item:' .. sku
        fields[#fields + 1] = item_text(item)
      end
    end
    if sale.config_changed then
      fields[#fields + 1] = 'config'
      fields[#fields + 1] = sale.config_changed
    end
    call('HSET', sale.key, fields)
    local blobs, n = {}, 0
    for id, record in pairs(sale.records_changed) do
      blobs[n + 1], blobs[n + 2] = id, record_blob(record)
      n = n + 2
    end
    call('HSET', sale.reservations_key, blobs)
    call('ZADD', sale.deadlines_key, sale.deadlines_added)
    call('ZREM', sale.deadlines_key, sale.deadlines_removed)
    local kept, gone = {}, {}
    n = 0
    for customer, units in pairs(sale.used_changed) do
      if units > 0 then
        kept[n + 1], kept[n + 2] = customer, units
        n = n + 2
      else
        gone[#gone + 1] = customer
      end
    end
    call('HSET', sale.used_key, kept)
    call('HDEL', sale.used_key, gone)
    if sale.history then write_history(sale) end
  end
  if #transitions > 0 then append(transitions, counters) end
end

--@include lib/waiting.lua
