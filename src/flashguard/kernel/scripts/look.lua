#!lua flags=no-writes
-- look: returns sales and reservations as they are now. Changes nothing.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, reservation id or ''}, ...}
-- results   a sale: {status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, {sku, stock, held, sold, ...}} without items
--           whose counters can't be read: they stop no other one, and the reader takes the ledger's for them; a shard
--           of a spread sale also {sku, units out - units in, ...} where units moved, see lib/moved.lua
--           a reservation: {'held' | 'expired', customer, lines, created_ms, hold_ms, expires_ms,
--                           {fingerprint, revision, ...} as amended_of}
--                          {'confirmed' | 'released' | 'expired' | 'cancelled', seq}: the ledger has its content
--           {'unknown-sale'} {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/told.lua
--@include lib/reading.lua
--@include lib/moved.lua

local WORD = {[HELD] = 'held', [CONFIRMED] = 'confirmed', [RELEASED] = 'released', [EXPIRED] = 'expired',
  [CANCELLED] = 'cancelled'}

-- moved_away(sale, counters): the units of each item that left for other shards, less those that arrived.
local function moved_away(sale, counters)
  local fields, away = {}, {}
  for i = 1, #counters, 4 do fields[#fields + 1] = 'moved:' .. counters[i] end
  local blobs = hmget(sale.reservations_key, fields)
  for i = 1, #fields do
    if blobs[i] then
      local moved = read_record(blobs[i])
      away[#away + 1] = counters[4 * i - 3]
      away[#away + 1] = moved.units_out - moved.units_in
    end
  end
  return away
end

local function whole(sale)
  local all = redis.call('HGETALL', sale.key)
  local config, counters = nil, {}
  for i = 1, #all, 2 do
    if all[i] == 'config' then
      config = read_config(all[i + 1])
    elseif string.sub(all[i], 1, 5) == 'item:' then
      local item, n = read_item(all[i + 1]), #counters
      if item.stock then -- else it can't be read
        counters[n + 1], counters[n + 2] = string.sub(all[i], 6), item.stock
        counters[n + 3], counters[n + 4] = item.held, item.sold
      end
    end
  end
  if not config then return {'unknown-sale'} end
  return {status_now(config), config.starts_ms, config.ends_ms, config.hold_ms, config.max_hold_ms, config.limit, counters,
    config.rules.spread and moved_away(sale, counters) or nil}
end

local function reservation(sale, id)
  local record = record_of(sale, id)
  if not record then return unknown_reservation(sale) end
  if record.status ~= HELD then return {WORD[record.status], unrecorded(record)} end
  local expires_ms = record.expires_ms
  return {NOW < expires_ms and 'held' or 'expired', record.customer, record.lines, record.created_ms, record.hold_ms,
    expires_ms, amended_of(sale, record)}
end

return read_batch(function(sale, id)
  return id == '' and whole(sale) or reservation(sale, id)
end)
