#!lua
-- change_sale: opens, pauses or closes sales, and changes their rules.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, verb, changes, key field or ''}, ...}
--           verb     open, pause, close, patch; or follow: a shard of a spread sale gets the status that is among the
--                    changes, unless it is closed
--           changes  maps starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability to new values; rules to the optional
--                    rules that change (false removes a rule); and describe to {name, room} for the ledger, '' for unchanged
-- results   {status, replayed, seq} {'sale-not-open', status} {'unknown-sale'} {'idempotency-mismatch'}
--           {'ended'}: a draft whose end has passed is not opened, and a patch does not set an end that has passed
--
-- A change without effect is journalled like any other: once its entry is recorded, so is the change that came before it.
-- The answer is then about something that can't be lost.

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/journal_sale.lua

-- NEXT[verb][status]: the status after the change; a missing one is refused.
local NEXT = {
  open = {draft = 'scheduled', scheduled = 'scheduled', open = 'open', paused = 'scheduled'},
  pause = {scheduled = 'paused', open = 'paused', paused = 'paused'},
  close = {draft = 'closed', scheduled = 'closed', open = 'closed', paused = 'closed', closed = 'closed'},
  patch = {draft = 'draft', scheduled = 'scheduled', open = 'open', paused = 'paused'},
}

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
        local customer = record.customer
        sale.history[customer] = sale.history[customer] or read_history()
        count_held(sale, customer, units_of(record.lines))
      end
      seen[id] = true -- one that was extended has several deadlines
    end
    from = from + EXPIRE_PAGE
  until #buckets < EXPIRE_PAGE
end

local function change_rules(sale, changes)
  local before, after = sale.config.rules, {}
  for name, value in pairs(before) do after[name] = value end
  for name, value in pairs(changes) do after[name] = value or nil end
  sale.config.rules = after
  if not counted(after) then
    after.counted_since_ms = nil
    sale.history = nil
  elseif not counted(before) then
    after.counted_since_ms = NOW
    begin_to_count(sale)
  end
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
  if not to then return {'sale-not-open', from} end
  local ends_ms = verb == 'patch' and changes.ends_ms or verb == 'open' and config.ends_ms or 0
  if ends_ms > 0 and ends_ms <= NOW then return {'ended'} end
  for name, value in pairs(changes) do
    if name ~= 'rules' and name ~= 'describe' then config[name] = value end
  end
  if changes.rules then change_rules(sale, changes.rules) end
  if verb == 'patch' and to == 'open' and config.starts_ms > NOW then to = 'scheduled' end
  config.status = to
  config.status = status_now(config)
  if key ~= '' then put_record(sale, key, {kind = 'sale-change', verb = verb, status = config.status, seq = SEQ + 1}) end
  journal_sale(sale, key, verb)
  if changes.describe then
    local name, room = unpack(changes.describe)
    note(pack({'describe', sale.id, '', {}, NOW, name, room}))
  end
  return {config.status, false, SEQ + 1}
end

return run_batch(decide)
