-- The sales a batch touches: each key is read once and written once, however many requests name it.
--
-- From KEYS[3] on, six keys per sale, in this order:
--   sale          hash   config and item:<sku>: see records.lua; recipe:<sku>: see pools.lua
--                        items  -> number of its items and recipes, so that a lost one is not refused as unknown
--   reservations  hash   the records: see records.lua
--   deadlines     zset   ids of holds, up to BUCKET_MOST with a space between them, scored by expires_ms; one each in a sale
--                        with a waiting room, which counts them. An id stays until then, whatever became of the hold: its
--                        record counts.
--   used          hash   customer -> units held or bought; in some sales more: see limits.lua
--   habits        hash   customer -> hold history: see history.lua
--   line          zset   the queue of the waiting list: see waiting.lua
--
-- All but the first have one entry named '', which load writes; see verify.
--
-- Optional rules: room, for a sale with a waiting room, where a buyer must have been admitted, or doors, see room.lua; spread, of a shard, the number
-- of the sale's shards; others in history.lua, limits.lua, pools.lua and waiting.lua.

--@include lib/records.lua
--@include lib/history.lua

local EXPIRE_PAGE, EXPIRE_MOST = 200, 5000 -- deadlines looked at before the next decision, and by one call
local BUCKET_MOST = 50
local FIRST_KEY, KEYS_PER_SALE = 3, 6
local ID_AT = string.find(KEYS[FIRST_KEY] or 'sale:', 'sale:', 1, true) + 5 -- where a sale's id begins in its first key

local touch, wake, serve_waiting, learn_waiting -- see waiting.lua
local NOTHING_DUE = {}
local SALES = {} -- index -> sale, index as the requests name it (0-based)

-- sale_at(index): the sale in this batch; sale.config is nil when the sale is not in memory.
local function sale_at(index)
  local sale = SALES[index]
  if sale then return sale end
  local at = FIRST_KEY + index * KEYS_PER_SALE
  sale = {
    index = index, key = KEYS[at], reservations_key = KEYS[at + 1], deadlines_key = KEYS[at + 2], used_key = KEYS[at + 3],
    history_key = KEYS[at + 4], queue_key = KEYS[at + 5],
    id = string.sub(KEYS[at], ID_AT),
    items = {}, records = {}, used = {}, -- what has been read, by sku, id and customer; a record may still be packed
    items_changed = {}, blobs = {}, used_changed = {}, -- see move, put_blob and add_used
    heads = {}, items_rewritten = {}, deadlines = {}, -- by sku, where more than counters changed; expires_ms -> ids of holds
    single = nil, -- ids of holds that ended, in a sale that counts deadlines
    due = NOTHING_DUE, looked_at = 0, expired_count = 0, drained = false, -- see expire_page
  }
  SALES[index] = sale
  return sale
end

-- has_items(sale): whether memory has as many of the sale's items and recipes as it must.
local function has_items(sale)
  local count = tonumber(redis.call('HGET', sale.key, 'items'))
  return count and redis.call('HLEN', sale.key) - 2 >= count -- config and items are fields as well
end

-- unknown_item(sale, sku): the refusal for an item that memory does not have, and may have lost.
local function unknown_item(sale, sku)
  if not has_items(sale) then return {'recovering'} end
  return {'unknown-item', sku}
end

-- unknown_reservation(sale): the refusal for a reservation that memory does not have, and may have lost.
local function unknown_reservation(sale)
  local is_lost = redis.call('HEXISTS', sale.reservations_key, '') == 0 and redis.call('HEXISTS', sale.key, 'config') == 1
  return {is_lost and 'recovering' or 'unknown-reservation'}
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
  if record == nil then record = redis.call('HGET', sale.reservations_key, id) end
  if record and type(record) == 'string' then record = read_record(record) end
  sale.records[id] = record
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
    if sale.touched then touch(sale, lines[i], (field == 'stock' and sign or -sign) * lines[i + 1]) end
  end
end

local function units_of(lines)
  local units = 0
  for i = 2, #lines, 2 do units = units + lines[i] end
  return units
end

-- add_used(sale, customer, units): flush writes the totals in order: the last counts.
local function add_used(sale, customer, units)
  local total, changed = used_by(sale, customer) + units, sale.used_changed
  local n = #changed
  changed[n + 1], changed[n + 2] = customer, total
  sale.used[customer] = total
  if total <= 0 then
    sale.used_gone = sale.used_gone or {}
    sale.used_gone[#sale.used_gone + 1] = customer
  end
end

-- put_blob(sale, name, blob), put_record(sale, name, record): change a record. flush writes blobs in order: the last counts.
local function put_blob(sale, name, blob)
  local blobs = sale.blobs
  local n = #blobs
  blobs[n + 1], blobs[n + 2] = name, blob
  sale.records[name] = blob
end

local function put_record(sale, name, record)
  put_blob(sale, name, record_blob(record))
  sale.records[name] = record
end

--@include lib/limits.lua

-- packed_lines(lines): packed once for all requests that want as many of the same item.
local PACKED_NOW = pack(NOW)
local packed_by_sku = {}
local function packed_lines(lines)
  if #lines > 2 then return pack(lines) end
  local sku, quantity = lines[1], lines[2]
  local by_quantity = packed_by_sku[sku]
  if not by_quantity then
    by_quantity = {}
    packed_by_sku[sku] = by_quantity
  end
  local blob = by_quantity[quantity] or pack(lines)
  by_quantity[quantity] = blob
  return blob
end

-- over_limit(sale, customer, units, hold, counts): why this customer may not have these units too, as a result; nil when they
-- may. counts: of counted_for.
local function over_limit(sale, customer, units, hold, counts)
  local config = sale.config
  local takes_more = units > 0 -- else an amend: a limit may have been lowered since
  if takes_more and config.limit > 0 and used_by(sale, customer) + units > config.limit then
    return {'limit-reached', config.limit, used_by(sale, customer)}
  end
  local no = counts and limits.over(sale, counts)
  if no then return no end
  local most = hold and config.rules.max_held
  if not most then return nil end
  if takes_more and history_of(sale, customer).held + units > most then
    return {'hold-budget-reached', most, history_of(sale, customer).held}
  end
  local holders, more = counts and counts.holders or NO_HOLDERS, counts and counts.more or units
  for i = 1, #holders do
    local held = history_of(sale, holders[i].field).held
    if more > 0 and held + more > most then return {'hold-budget-reached', most, held, holders[i].by} end
  end
  return nil
end

-- cooling_until(sale, customer, counts): until when this customer, or an identity of the hold, may hold nothing, by their
-- history so far, and the identity's name; 0 when they may. counts: of counted_for.
local function cooling_until(sale, customer, counts)
  local rules = sale.config.rules
  if not rules.cool_down_ms then return 0 end
  local function until_of(holder)
    local history = history_of(sale, holder)
    return history.expired >= (rules.cool_down_after or COOL_DOWN_AFTER) and history.last_ms + rules.cool_down_ms or 0
  end
  local latest, by, holders = until_of(customer), nil, counts and counts.holders or NO_HOLDERS
  for i = 1, #holders do
    local until_ms = until_of(holders[i].field)
    if until_ms > latest then latest, by = until_ms, holders[i].by end
  end
  return latest, by
end

-- start_of(sale, verb, size): the start of a packed transition {verb, sale, ...} of this size; the sale keeps it by the verb.
local function start_of(sale, verb, size)
  local start = sale[verb] or array_head(size) .. pack(verb, sale.id)
  sale[verb] = start
  return start
end

-- put_new(sale, verb, id, fingerprint, customer, lines, hold_ms, details): the record and the transition of a new hold, or of
-- a new order (hold_ms 0). What both have in common is packed once; what all requests have in common, once per call.
local times, packed_ms = {}, {} -- by hold_ms
local function put_new(sale, verb, id, fingerprint, customer, lines, hold_ms, details)
  if not times[hold_ms] then
    times[hold_ms] = hold_ms > 0 and pack(NOW, hold_ms, hold_ms) or pack(NOW, 0, 0, SEQ + 1)
    packed_ms[hold_ms] = pack(hold_ms)
  end
  local when, print, what, who = times[hold_ms], pack(fingerprint), packed_lines(lines), string_head(customer)
  local record = hold_ms > 0 and HELD_BYTE .. print .. when .. who .. customer .. what or CONFIRMED_BYTE .. print .. when
  local start, rest = nil, ''
  if details then
    local kept = hold_ms > 0 and kept_of(details)
    record = kept and record .. pack({}, kept) or record
    start, rest = array_head(9) .. pack(verb, sale.id), pack(details)
  end
  put_blob(sale, id, record)
  note((start or start_of(sale, verb, 8)) .. string_head(id) .. id .. what .. PACKED_NOW .. print .. who .. customer
    .. packed_ms[hold_ms] .. rest)
end

local function add_deadline(sale, expires_ms, id)
  local ids = sale.deadlines[expires_ms] or {}
  sale.deadlines[expires_ms] = ids
  ids[#ids + 1] = id
end

-- hold_units(sale, id, fingerprint, customer, lines, hold_ms, details): makes a hold of units that are available.
local function hold_units(sale, id, fingerprint, customer, lines, hold_ms, details)
  count_used(sale, customer, lines, details, 1)
  move(sale, details and details.takes or lines, 'held', 1)
  if sale.history then count_held_by(sale, customer, details, units_of(lines)) end
  put_new(sale, 'hold', id, fingerprint, customer, lines, hold_ms, details)
  add_deadline(sale, NOW + hold_ms, id)
end

local END_VERB = {[CONFIRMED] = 'confirm', [RELEASED] = 'release', [EXPIRED] = 'expire'}

-- end_hold(sale, id, record, status, ended_ms): ends a live hold; its units are sold, or available again.
local function end_hold(sale, id, record, status, ended_ms)
  local customer, lines, takes = record.customer, record.lines, record.takes
  move(sale, takes or lines, 'held', -1)
  if sale.history then count_held_by(sale, customer, record.kept, -units_of(lines)) end
  if status == CONFIRMED then
    move(sale, takes or lines, 'sold', 1)
  else
    count_used(sale, customer, lines, record.kept, -1)
    if sale.history then count_expired_by(sale, customer, record.kept, ended_ms, 1) end
  end
  if sale.touched then wake(sale, customer) end
  put_blob(sale, id, ended_blob(status, record.fingerprint, record.created_ms, record.hold_ms, ended_ms, SEQ + 1,
    record.kept and record.kept.revision))
  if sale.single then sale.single[#sale.single + 1] = id end
  local start = takes and array_head(6) .. pack(END_VERB[status], sale.id) or start_of(sale, END_VERB[status], 5)
  note(start .. string_head(id) .. id .. packed_lines(lines) .. (ended_ms == NOW and PACKED_NOW or pack(ended_ms))
    .. (takes and pack(takes) or ''))
end

-- read_due(sale): appends the ids of the next deadlines that are over, in the order of the deadlines, then of the ids. Each knows
-- how many members of the set come before those with its deadline, and how many there are with them.
local function read_due(sale)
  local due = sale.due
  local found = redis.call('ZRANGEBYSCORE', sale.deadlines_key, '-inf', NOW, 'WITHSCORES', 'LIMIT', due.members, EXPIRE_PAGE)
  due.complete = #found < 2 * EXPIRE_PAGE
  local at = 0
  while at < #found do
    local together, expires_ms, before = {}, found[at + 2], due.members
    while found[at + 2] == expires_ms do
      for id in string.gmatch(found[at + 1], '%S+') do together[#together + 1] = id end
      at = at + 2
      due.members = due.members + 1
    end
    table.sort(together)
    for i = 1, #together do
      due[#due + 1] = {id = together[i], expires_ms = tonumber(expires_ms), before = before, members = due.members}
    end
  end
end

-- expire_page(sale): expires holds past their end, of a page of deadlines; false when none is left.
local function expire_page(sale)
  if sale.drained then return false end
  if sale.due == NOTHING_DUE then sale.due = {members = 0} end
  local due, from, missing = sale.due, sale.looked_at + 1, {}
  while #due < sale.looked_at + EXPIRE_PAGE and not due.complete do read_due(sale) end
  local to = math.min(sale.looked_at + EXPIRE_PAGE, #due)
  sale.looked_at, sale.drained = to, to - from + 1 < EXPIRE_PAGE
  for i = from, to do
    if sale.records[due[i].id] == nil then missing[#missing + 1] = due[i].id end
  end
  local values = hmget(sale.reservations_key, missing)
  for i = 1, #missing do sale.records[missing[i]] = values[i] end
  for i = from, to do
    local id, record = due[i].id, record_of(sale, due[i].id)
    if record and record.status == HELD and record.expires_ms <= due[i].expires_ms then -- an extended one has a later deadline
      end_hold(sale, id, record, EXPIRED, record.expires_ms)
      sale.expired_count = sale.expired_count + 1
    end
  end
  if sale.touched then serve_waiting(sale) end
  return to >= from
end

-- write_deadlines(sale): removes those that were looked at, which come first, and adds those of new and extended holds.
local function write_deadlines(sale)
  local last, next_one = sale.due[sale.looked_at], sale.due[sale.looked_at + 1]
  local done = next_one and next_one.before or last and last.members or 0
  if done > 0 then redis.call('ZREMRANGEBYRANK', sale.deadlines_key, 0, done - 1) end
  if sale.single then call('ZREM', sale.deadlines_key, sale.single) end
  local added, n = {}, 0
  for expires_ms, ids in pairs(sale.deadlines) do
    local most = sale.single and 1 or BUCKET_MOST
    for from = 1, #ids, most do
      added[n + 1], added[n + 2] = expires_ms, table.concat(ids, ' ', from, math.min(from + most - 1, #ids))
      n = n + 2
    end
  end
  call('ZADD', sale.deadlines_key, added)
end

local function write_blobs(sale)
  call('HSET', sale.reservations_key, sale.blobs)
  sale.blobs = {}
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
    for sku, item in pairs(sale.items_rewritten) do
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
    write_blobs(sale)
    write_deadlines(sale)
    call('HSET', sale.used_key, sale.used_changed)
    for i = 1, sale.used_gone and #sale.used_gone or 0 do
      if sale.used[sale.used_gone[i]] <= 0 then redis.call('HDEL', sale.used_key, sale.used_gone[i]) end
    end
    if sale.history then write_history(sale) end
  end
  if noted > 0 then append(counters) end
end

--@include lib/pools.lua
--@include lib/prices.lua
--@include lib/waiting.lua
