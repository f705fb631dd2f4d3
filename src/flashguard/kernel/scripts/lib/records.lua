-- The records of a sale: the one place that knows their layout. Valkey keeps each as msgpack values, one after the other;
-- everything else reads them by the names of their fields.
--
--   sale          hash   config      -> status, starts_ms, ends_ms, hold_ms, max_hold_ms, limit (0: none), durability of the
--                                       sale's holds, unless that is the disk ('' when rules follow), and rules: a map of
--                                       optional rules by name, unless it has none
--                        item:<sku>  -> "stock held sold", and " set_aside until_ms" where units are set aside: see waiting.lua;
--                                       and " price on_sale first" of an item that has terms of its own: see prices.lua
--   reservations  hash   <id>        -> HELD, fingerprint, created_ms, hold_ms, expires_ms - created_ms, customer, lines, and
--                                       extensions where it was extended or the next follows, and kept where it has any
--                        <id>        -> another status, fingerprint, created_ms, hold_ms, ended_ms - created_ms, seq, and
--                                       revision where it was amended
--                        waiting:<id>       -> 'waiting', fingerprint, state, created_ms, place, seq, customer, sku, quantity,
--                                              admitted (true in a sale without a waiting room), and identities if any
--                        waits:<customer>   -> id of the entry while it waits, and sleeps_until_ms while it sleeps
--                        waiting-place      -> 'place', the newest place
--                        moved:<sku>        -> 'moved', outs, ins, units_out, units_in: see moved.lua
--                        key of a restock   -> 'restock', fingerprint, stock, held, sold, seq
--                        key of a change    -> 'sale-change', verb, status, 0, 0, seq
--                        key of an amend    -> 'amend', fingerprint, id, revision, seq, customer, lines, details or nil
--
-- hold_ms is how long the hold was first given: 0 for a direct buy. lines = {sku, quantity, sku, quantity, ...};
-- extensions = {key fingerprint, expires_ms, ...}. seq is the journal entry that wrote the record.
--
-- details: what few reservations have, by name, as the journal and the ledger keep it; absent names are absent. takes =
-- {counter, quantity, ...} is what a reservation moves where that is not its lines. pick_up = {sku, location, ...} of lines that
-- name one. identities = {by = text, ...}: see limits.lua. prices: see prices.lua. revision counts its amends. kept: those details
-- that later decisions need, see kept_of.

local HELD, CONFIRMED, RELEASED, EXPIRED, CANCELLED = 1, 2, 3, 4, 5
local HELD_BYTE, CONFIRMED_BYTE = '\1', '\2' -- packed

-- read_record(blob): the record with named fields; false where there is none.
local function read_record(blob)
  if not blob then return false end
  local kind, a, b, c, d, e, f, g, h, i, j = cmsgpack.unpack(blob)
  if kind == HELD then
    local record = {status = kind, fingerprint = a, created_ms = b, hold_ms = c, expires_ms = b + d, customer = e, lines = f,
      extensions = g or {}}
    if h then record.kept, record.takes = h, h.takes end
    return record
  elseif type(kind) == 'number' then
    return {status = kind, fingerprint = a, created_ms = b, hold_ms = c, ended_ms = b + d, seq = e,
      revision = f}
  elseif kind == 'waiting' then
    return {kind = kind, fingerprint = a, state = b, created_ms = c, place = d, seq = e, customer = f, sku = g, quantity = h,
      admitted = i, identities = j}
  elseif kind == 'place' then
    return {kind = kind, newest = a}
  elseif kind == 'moved' then
    return {kind = kind, outs = a, ins = b, units_out = c, units_in = d}
  elseif kind == 'restock' then
    return {kind = kind, fingerprint = a, stock = b, held = c, sold = d, seq = e}
  elseif kind == 'sale-change' then
    return {kind = kind, verb = a, status = b, seq = e}
  elseif kind == 'amend' then
    return {kind = kind, fingerprint = a, id = b, revision = c, seq = d, customer = e, lines = f, details = g}
  end
  return {kind = 'waits', id = kind, sleeps_until_ms = a}
end

-- record_blob(r): what read_record reads, of a record that is no reservation.
local function record_blob(r)
  local kind = r.kind
  if kind == 'waiting' then
    local blob = pack(kind, r.fingerprint, r.state, r.created_ms, r.place, r.seq, r.customer, r.sku, r.quantity, r.admitted)
    return r.identities and blob .. pack(r.identities) or blob
  elseif kind == 'place' then
    return pack(kind, r.newest)
  elseif kind == 'moved' then
    return pack(kind, r.outs, r.ins, r.units_out, r.units_in)
  elseif kind == 'restock' then
    return pack(kind, r.fingerprint, r.stock, r.held, r.sold, r.seq)
  elseif kind == 'sale-change' then
    return pack(kind, r.verb, r.status, 0, 0, r.seq)
  elseif kind == 'amend' then
    return pack(kind, r.fingerprint, r.id, r.revision, r.seq, r.customer, r.lines, r.details)
  end
  if r.sleeps_until_ms then return pack(r.id, r.sleeps_until_ms) end
  return pack(r.id)
end

-- ended_blob(...): the record of a reservation that has ended; revision nil or 0 where it was never amended.
local function ended_blob(status, fingerprint, created_ms, hold_ms, ended_ms, seq, revision)
  local blob = pack(status, fingerprint, created_ms, hold_ms, ended_ms - created_ms, seq)
  return revision and revision > 0 and blob .. pack(revision) or blob
end

-- hold_blob(r): the record of a live hold that is not new.
local function hold_blob(r)
  local blob = pack(HELD, r.fingerprint, r.created_ms, r.hold_ms, r.expires_ms - r.created_ms, r.customer, r.lines, r.extensions)
  return r.kept and blob .. pack(r.kept) or blob
end

-- revision_of(record): how often the reservation was amended.
local function revision_of(record)
  return record.revision or record.kept and record.kept.revision or 0
end

-- allocated(takes): the same where units of locations are among them; else nil.
local function allocated(takes)
  for i = 1, takes and #takes or 0, 2 do
    if string.find(takes[i], '\31', 1, true) then return takes end
  end
  return nil
end

-- kept_of(details): what a hold's record keeps of its details; nil where that is nothing. more: the ledger has the rest.
local function kept_of(details)
  local more = (details.reference or details.metadata) and true or nil
  local kept = {takes = details.takes, pick_up = details.pick_up, prices = details.prices, identities = details.identities,
    revision = details.revision, more = more}
  return next(kept) and kept or nil
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

local terms_seen = false -- whether an item that was read has terms of its own

local function read_item(text)
  local stock, held, sold = string.match(text, '^(%d+) (%d+) (%d+)$')
  if stock then return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold)} end
  local set_aside, until_ms, terms
  stock, held, sold, set_aside, until_ms, terms = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)(.*)$')
  local price, on_sale, first = string.match(terms or '', '^ (%S+) (%S+) (%S+)$')
  terms_seen = terms_seen or price ~= nil
  return {stock = tonumber(stock), held = tonumber(held), sold = tonumber(sold),
    set_aside = set_aside ~= '0' and tonumber(set_aside) or nil, until_ms = until_ms ~= '0' and tonumber(until_ms) or nil,
    price = tonumber(price), first = tonumber(price) and tonumber(first), off = on_sale == 'off' or nil}
end

local function item_text(item)
  local text = string.format('%.0f %.0f %.0f', item.stock, item.held, item.sold)
  local terms = item.price or item.off
  if not item.set_aside and not item.until_ms and not terms then return text end
  text = text .. string.format(' %.0f %.0f', item.set_aside or 0, item.until_ms or 0)
  if not terms then return text end
  local price, first = item.price and string.format('%.0f', item.price) or '-', string.format(' %.0f', item.first or 0)
  return text .. ' ' .. price .. (item.off and ' off' or ' on') .. first
end

-- free_units(item): units that no hold and no order has, including those set aside for the waiting list.
local function free_units(item)
  return item.stock - item.held - item.sold
end
