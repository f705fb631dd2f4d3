-- The records of a sale: the one place that knows their layout. Valkey keeps each as msgpack values, one after the other;
-- everything else reads them by the names of their fields.
--
--   sale          hash   config      -> status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit (0: none), durability of the
--                                       sale's holds, unless that is the disk ('' when rules follow), and rules: a map of
--                                       optional rules by name, unless it has none
--                        item:<sku>  -> "stock held sold", and " set_aside until_ms" where units are set aside: see waiting.lua
--   reservations  hash   <id>        -> HELD, fingerprint, created_ms, hold_ms, expires_ms - created_ms, customer, lines, and
--                                       extensions where it was extended
--                        <id>        -> another status, fingerprint, created_ms, hold_ms, ended_ms - created_ms, seq
--                        waiting:<id>       -> 'waiting', fingerprint, state, created_ms, place, seq, customer, sku, quantity,
--                                              admitted (true in a sale without a waiting room)
--                        waits:<customer>   -> id of the entry while it waits, and sleeps_until_ms while it sleeps
--                        waiting-place      -> 'place', the newest place
--                        moved:<sku>        -> 'moved', outs, ins, units_out, units_in: see moved.lua
--                        key of a restock   -> 'restock', fingerprint, stock, held, sold, seq
--                        key of a change    -> 'sale-change', verb, status, 0, 0, seq
--
-- hold_ms is how long the hold was first given: 0 for a direct buy. lines = {sku, quantity, sku, quantity, ...};
-- extensions = {key fingerprint, expires_ms, ...}. seq is the journal entry that wrote the record.

local HELD, CONFIRMED, RELEASED, EXPIRED, CANCELLED = 1, 2, 3, 4, 5
local HELD_BYTE, CONFIRMED_BYTE = '\1', '\2' -- packed

-- read_record(blob): the record with named fields; false where there is none.
local function read_record(blob)
  if not blob then return false end
  local kind, a, b, c, d, e, f, g, h, i = cmsgpack.unpack(blob)
  if kind == HELD then
    return {status = kind, fingerprint = a, created_ms = b, hold_ms = c, expires_ms = b + d, customer = e, lines = f,
      extensions = g or {}}
  elseif type(kind) == 'number' then
    return {status = kind, fingerprint = a, created_ms = b, hold_ms = c, ended_ms = b + d, seq = e}
  elseif kind == 'waiting' then
    return {kind = kind, fingerprint = a, state = b, created_ms = c, place = d, seq = e, customer = f, sku = g, quantity = h,
      admitted = i}
  elseif kind == 'place' then
    return {kind = kind, newest = a}
  elseif kind == 'moved' then
    return {kind = kind, outs = a, ins = b, units_out = c, units_in = d}
  elseif kind == 'restock' then
    return {kind = kind, fingerprint = a, stock = b, held = c, sold = d, seq = e}
  elseif kind == 'sale-change' then
    return {kind = kind, verb = a, status = b, seq = e}
  end
  return {kind = 'waits', id = kind, sleeps_until_ms = a}
end

-- record_blob(r): what read_record reads, of a record that is no reservation.
local function record_blob(r)
  local kind = r.kind
  if kind == 'waiting' then
    return pack(kind, r.fingerprint, r.state, r.created_ms, r.place, r.seq, r.customer, r.sku, r.quantity, r.admitted)
  elseif kind == 'place' then
    return pack(kind, r.newest)
  elseif kind == 'moved' then
    return pack(kind, r.outs, r.ins, r.units_out, r.units_in)
  elseif kind == 'restock' then
    return pack(kind, r.fingerprint, r.stock, r.held, r.sold, r.seq)
  elseif kind == 'sale-change' then
    return pack(kind, r.verb, r.status, 0, 0, r.seq)
  end
  if r.sleeps_until_ms then return pack(r.id, r.sleeps_until_ms) end
  return pack(r.id)
end

-- ended_blob(...): the record of a reservation that has ended.
local function ended_blob(status, fingerprint, created_ms, hold_ms, ended_ms, seq)
  return pack(status, fingerprint, created_ms, hold_ms, ended_ms - created_ms, seq)
end

-- unrecorded(record): the seq of the entry that wrote it while the ledger may lack it; 0 once it is recorded.
local function unrecorded(record)
  return record.seq > RECORDED and record.seq or 0
end

local NO_RULES = {}

-- read_config(blob): see config_blob in journal_sale.lua.
local function read_config(blob)
  local status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit, durability, rules = cmsgpack.unpack(blob)
  return {status = status, starts_ms = starts_ms, ends_ms = ends_ms, hold_ms = hold_ms, max_hold_ms = max_hold_ms,
    limit = limit, durability = durability or '', rules = rules or NO_RULES}
end

-- more_than_disk(config): how a hold must be kept before it is answered, where the sale says so; else nil.
local function more_than_disk(config)
  return config.durability ~= '' and config.durability or nil
end

local function read_item(text)
  local stock, held, sold = string.match(text, '^(%d+) (%d+) (%d+)$')
  if stock then return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold)} end
  local set_aside, until_ms
  stock, held, sold, set_aside, until_ms = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold),
    set_aside = set_aside ~= '0' and tonumber(set_aside) or nil, until_ms = until_ms ~= '0' and tonumber(until_ms) or nil}
end

local function item_text(item)
  local text = string.format('%.0f %.0f %.0f', item.stock, item.held, item.sold)
  if not item.set_aside and not item.until_ms then return text end
  return text .. string.format(' %.0f %.0f', item.set_aside or 0, item.until_ms or 0)
end

-- free_units(item): units that no hold and no order has, including those set aside for the waiting list.
local function free_units(item)
  return item.stock - item.held - item.sold
end
