#!lua
-- change_sale: opens, pauses or closes sales, and changes their rules.
--
-- KEYS      partition, journal, then sale, reservations, deadlines, used per sale (see lib/)
-- requests  {{sale index, verb, changes, key field or ''}, ...}; verb is open, pause, close or patch;
--           changes maps starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability to new values, and rules to
--           those of the optional rules that change; false takes one away
-- results   {status, replayed, seq} {'sale-not-open', status} {'unknown-sale'} {'idempotency-mismatch'}
--
-- A change that changes nothing is journalled like any other: once its entry is recorded, so is the change that
-- came before it, and the answer tells what can't be lost.

--@include lib/partition.lua
--@include lib/sales.lua

-- NEXT[verb][status]: the status after; a missing one is refused.
local NEXT = {
  open = {draft = 'scheduled', scheduled = 'scheduled', open = 'open', paused = 'scheduled'},
  pause = {scheduled = 'paused', open = 'paused', paused = 'paused'},
  close = {draft = 'closed', scheduled = 'closed', open = 'closed', paused = 'closed', closed = 'closed'},
  patch = {draft = 'draft', scheduled = 'scheduled', open = 'open', paused = 'paused'},
}

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add = wanted()
for i = 1, #REQUESTS do add(REQUESTS[i][1], REQUESTS[i][4] ~= '' and REQUESTS[i][4] or nil) end
prefetch(wants)

local function with_rules(rules, changes)
  local after = {}
  for name, rule in pairs(rules) do after[name] = rule end
  for name, rule in pairs(changes) do after[name] = rule or nil end
  return after
end

local function decide(sale, verb, changes, key)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  local record = key ~= '' and sale.records[key]
  if record then
    if record[2] ~= verb then return {'idempotency-mismatch'} end
    return {record[3], true, unrecorded(record)}
  end
  local from = status_now(config)
  local to = NEXT[verb][from]
  if not to then return {'sale-not-open', from} end
  for name, value in pairs(changes) do
    if name == 'rules' then value = with_rules(config.rules, value) end
    config[name] = value
  end
  if verb == 'patch' and to == 'open' and config.starts_ms > NOW then to = 'scheduled' end
  config.status = to
  config.status = status_now(config)
  sale.config_changed = true
  if key ~= '' then put_record(sale, key, {'sale-change', verb, config.status, 0, 0, SEQ + 1}) end
  transitions[#transitions + 1] = {'sale', sale.id, config.status, {}, NOW, config.starts_ms, key, config.ends_ms,
    config.hold_ms, config.max_hold_ms, config.limit, config.durability, verb}
  return {config.status, false, SEQ + 1}
end

local results = {}
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  results[i] = decide(SALES[request[1]], request[2], request[3], request[4])
end
flush()
return answer('', results)
