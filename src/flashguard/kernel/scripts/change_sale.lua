#!lua
-- change_sale: opens, pauses or closes sales, changes their rules, and edits or deletes drafts.
--
-- KEYS      partition, journal, then the six of each sale, then five per waiting room (see lib/)
-- requests  {{sale index, verb, changes, key field or ''}, ...}
--           verb     open, pause, close, patch; delete: a draft; or follow: a shard of a spread sale gets the status that is
--                    among the changes, unless it is closed
--           changes  maps starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability to new values; rules to the optional
--                    rules that change (false removes a rule); describe to {name, room, lottery's seed} for the ledger, ''
--                    for unchanged; items to {{field, "stock 0 0", ...}, JSON for the ledger}, which replace a draft's;
--                    item_limits to {sku = most, ...} that change, false for none; and only to the statuses of the sales that
--                    may change like this
-- results   {status, replayed, seq} {'sale-not-open', status} {'sale-not-draft', status} {'unknown-sale'}
--           {'idempotency-mismatch'}
--           {'limit-not-counted', sku or ''}: but for its number, a limit changes only while nothing counts for it: of an item
--           while none is held or sold, by identity in a draft
--           {'ended'}: a draft whose end has passed is not opened, and a patch does not set an end that has passed
--
-- A change without effect is journalled like any other: once its entry is recorded, so is the change that came before it.
-- The answer is then about something that can't be lost.
--
-- Of a deleted draft memory keeps a mark until the ledger has deleted it too: else a recorder would load it again. Without
-- its config it is unknown to every script.

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/journal_sale.lua
--@include lib/item_limits.lua
--@include lib/room_keys.lua

-- NEXT[verb][status]: the status after the change; a missing one is refused.
local NEXT = {
  open = {draft = 'scheduled', scheduled = 'scheduled', open = 'open', paused = 'scheduled'},
  pause = {scheduled = 'paused', open = 'paused', paused = 'paused'},
  close = {draft = 'closed', scheduled = 'closed', open = 'closed', paused = 'closed', closed = 'closed'},
  patch = {draft = 'draft', scheduled = 'scheduled', open = 'open', paused = 'paused'},
  delete = {draft = 'closed'},
}
-- Changes that are no fields of the config.
local APART = {rules = true, describe = true, items = true, item_limits = true, only = true}

-- begin_to_count(sale): starts the hold history of a sale under way, from the holds that are live.
local function begin_to_count(sale)
  redis.call('UNLINK', sale.history_key)
  redis.call('HSET', sale.history_key, '', '0 0 0')
  sale.history, sale.history_changed = nil, nil
  count_history(sale)
  local from, seen = 0, {}
  repeat
    local buckets = redis.call('ZRANGE', sale.deadlines_key, from, from + EXPIRE_PAGE - 1)
    for id in string.gmatch(table.concat(buckets, ' '), '%S+') do
      local record = not seen[id] and read_record(redis.call('HGET', sale.reservations_key, id))
      if record and record.status == HELD then
        sale.history[record.customer] = sale.history[record.customer] or read_history()
        count_held_by(sale, record.customer, record.kept, units_of(record.lines))
      end
      seen[id] = true -- one that was extended has several deadlines
    end
    from = from + EXPIRE_PAGE
  until #buckets < EXPIRE_PAGE
end

local function change_rules(sale, changes)
  local before, after = sale.config.rules, with_rules(sale.config.rules, changes)
  sale.config.rules = after
  sale.begins_room = after.room and not before.room
  sale.opens_doors = after.doors and not before.doors
  find_limits(sale)
  if not counted(after) then
    after.counted_since_ms = nil
    sale.history = nil
  elseif not counted(before) then
    after.counted_since_ms = NOW
    begin_to_count(sale)
  end
end

-- not_counted(sale, changes): the refusal of limits for which nothing was counted so far; nil where all are sound.
local function not_counted(sale, changes)
  local rules, after = sale.config.rules, changes.rules and changes.rules.limits
  local function of_limits(list)
    local kept = {}
    for i, limit in ipairs(list or {}) do kept[i] = pack(limit[1], limit[3]) end
    return table.concat(kept)
  end
  if after ~= nil and of_limits(after) ~= of_limits(rules.limits) then return {'limit-not-counted', ''} end
  local names = changes.rules and changes.rules.holds_by
  if names ~= nil and pack(names or {}) ~= pack(rules.holds_by or {}) then return {'limit-not-counted', ''} end
  local first
  for sku, most in pairs(changes.item_limits or {}) do
    if begins_late(sale, sku, most) and not (first and first < sku) then first = sku end
  end
  return first and {'limit-not-counted', first}
end

local function delete_draft(sale)
  sale.config, sale.config_changed, sale.new_items, sale.touched, sale.deleted = nil, nil, nil, nil, true
  note(pack({'delete', sale.id, '', {}, NOW}))
  return {'closed', false, SEQ + 1}
end

-- replace_items(sale): a draft has neither holds nor orders, so its counters are those of its new items.
local function replace_items(sale)
  local gone, fields = {}, redis.call('HKEYS', sale.key)
  for i = 1, #fields do
    if string.sub(fields[i], 1, 5) == 'item:' then gone[#gone + 1] = fields[i] end
  end
  call('HDEL', sale.key, gone)
  call('HSET', sale.key, sale.new_items)
  redis.call('HSET', sale.key, 'items', #sale.new_items / 2)
end

local function begin_room(sale)
  local room_key, waiting_key, active_key, lottery_key, spent_key = room_keys(sale)
  redis.call('UNLINK', room_key, waiting_key, active_key, lottery_key, spent_key)
  redis.call('HSET', room_key, 'born_ms', NOW)
end

local function save()
  flush()
  for _, sale in pairs(SALES) do
    if sale.new_items then replace_items(sale) end
    if sale.begins_room then begin_room(sale) end
    if sale.opens_doors then
      local _, waiting_key, active_key = room_keys(sale)
      redis.call('UNLINK', waiting_key, active_key)
    end
    if sale.deleted then
      redis.call('UNLINK', sale.key)
      redis.call('HSET', sale.key, 'deleted', SEQ)
    end
  end
end

-- may_change(statuses, from): whether a sale with the status `from` is among these; true without any.
local function may_change(statuses, from)
  for i = 1, statuses and #statuses or 0 do
    if statuses[i] == from then return true end
  end
  return not statuses
end

local function decide(sale, verb, changes, key)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  local record = key ~= '' and record_of(sale, key)
  if record then
    if record.verb ~= verb then return {'idempotency-mismatch'} end
    return {record.status, true, unrecorded(record)}
  end
  local from = status_now(config)
  local to
  if verb == 'follow' then
    to = from ~= 'closed' and changes.status
  else
    to = NEXT[verb][from]
  end
  if not may_change(changes.only or verb == 'delete' and {'draft'}, from) then return {'sale-not-draft', from} end
  if not to then return {'sale-not-open', from} end
  if verb == 'delete' then return delete_draft(sale) end
  local no = verb == 'patch' and from ~= 'draft' and not_counted(sale, changes)
  if no then return no end
  local ends_ms = verb == 'patch' and changes.ends_ms or verb == 'open' and config.ends_ms or 0
  if ends_ms > 0 and ends_ms <= NOW then return {'ended'} end
  for name, value in pairs(changes) do
    if not APART[name] then config[name] = value end
  end
  if changes.rules then change_rules(sale, changes.rules) end
  if changes.item_limits then change_rules(sale, {item_limits = item_limits_after(sale, changes.item_limits)}) end
  if verb == 'patch' and to == 'open' and config.starts_ms > NOW then to = 'scheduled' end
  config.status = to
  config.status = status_now(config)
  if key ~= '' then put_record(sale, key, {kind = 'sale-change', verb = verb, status = config.status, seq = SEQ + 1}) end
  journal_sale(sale, key, verb)
  if changes.describe then
    local name, room, seed = unpack(changes.describe)
    note(pack({'describe', sale.id, '', {}, NOW, name, room, seed}))
  end
  if changes.items then
    local fields, definition = unpack(changes.items)
    sale.new_items = fields
    note(pack({'items', sale.id, '', {}, NOW, definition}))
  end
  return {config.status, false, SEQ + 1}
end

return run_batch(decide, nil, save)
