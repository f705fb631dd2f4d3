#!lua flags=no-writes
-- look: reads sales and reservations as they are now; changes nothing.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, reservation id or ''}, ...}
-- results   a sale: {status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, {sku, stock, held, sold, ...}}; a part of
--           a spread sale also {sku, units out - units in, ...} where units moved, see lib/moved.lua
--           a reservation: {'held' | 'expired', customer, lines, created_ms, hold_ms, expires_ms}
--                          {'confirmed' | 'released' | 'expired' | 'cancelled', seq}: its content is in the ledger
--           {'unknown-sale'} {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/moved.lua

local refusal = closed()
if refusal == 'recovering' then return answer(refusal) end
local WORD = {[HELD] = 'held', [CONFIRMED] = 'confirmed', [RELEASED] = 'released', [EXPIRED] = 'expired',
  [CANCELLED] = 'cancelled'}

-- moved_away(sale, counters): of each item, how many units more went to other parts than came from them.
local function moved_away(sale, counters)
  local fields, away = {}, {}
  for i = 1, #counters, 4 do fields[#fields + 1] = 'moved:' .. counters[i] end
  local blobs = hmget(sale.reservations_key, fields)
  for i = 1, #fields do
    if blobs[i] then
      local moved = {cmsgpack.unpack(blobs[i])}
      away[#away + 1] = counters[4 * i - 3]
      away[#away + 1] = moved[4] - moved[5]
    end
  end
  return away
end

local function whole(sale)
  local all = redis.call('HGETALL', sale.key)
  local config, counters = nil, {}
  for i = 1, #all, 2 do
    if all[i] == 'config' then
      config = {cmsgpack.unpack(all[i + 1])}
    elseif all[i] ~= 'items' then
      local item, n = parse_item(all[i + 1]), #counters
      counters[n + 1], counters[n + 2] = string.sub(all[i], 6), item.stock
      counters[n + 3], counters[n + 4] = item.held, item.sold
    end
  end
  if not config then return {'unknown-sale'} end
  config[1] = status_now({status = config[1], starts_ms = config[2], ends_ms = config[3]})
  local rules = config[8]
  config[7], config[8] = counters, rules and rules.spread and moved_away(sale, counters) or nil
  return config
end

local results = {}
for i = 1, #REQUESTS do
  local sale, id = sale_at(REQUESTS[i][1]), REQUESTS[i][2]
  if id == '' then
    results[i] = whole(sale)
  else
    local record = record_of(sale, id)
    if not record then
      results[i] = {'unknown-reservation'}
    elseif record[1] == HELD then
      local expires_ms = record[3] + record[5]
      results[i] = {NOW < expires_ms and 'held' or 'expired', record[6], record[7], record[3], record[4], expires_ms}
    else
      results[i] = {WORD[record[1]], unrecorded(record)}
    end
  end
end
return answer('', results)
