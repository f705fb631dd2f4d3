#!lua
-- change_sale: opens, pauses or closes sales, and changes their rules.
--
-- KEYS      partition, journal, then sale, reservations, deadlines, used per sale (see lib/)
-- requests  {{sale index, verb, changes}, ...}; verb is open, pause, close or patch;
--           changes maps starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability to new values
-- results   {status, changed, seq} {'sale-not-open', status} {'unknown-sale'}

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
for i = 1, #REQUESTS do add(REQUESTS[i][1]) end
prefetch(wants)

local function decide(sale, verb, changes)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  local from = status_now(config)
  local to = NEXT[verb][from]
  if not to then return {'sale-not-open', from} end
  local changed = to ~= config.status
  for name, value in pairs(changes) do
    if config[name] ~= value then changed = true end
    config[name] = value
  end
  if verb == 'patch' and to == 'open' and config.starts_ms > NOW then to = 'scheduled' end
  config.status = to
  config.status = status_now(config)
  if changed then
    sale.config_changed = true
    transitions[#transitions + 1] = {'sale', sale.id, config.status, {}, NOW, config.starts_ms, '', config.ends_ms,
      config.hold_ms, config.max_hold_ms, config.limit, more_than_disk(config)}
  end
  return {config.status, changed, changed and SEQ + 1 or SEQ}
end

local results = {}
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  results[i] = decide(SALES[request[1]], request[2], request[3])
end
flush()
return answer('', results)
