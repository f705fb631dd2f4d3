#!lua
-- amend: replaces the basket of a hold or of an order, or gives a hold to another customer, in one step.
--
-- The rule: only the difference is checked and moved. What the new basket has more must be available and within the
-- customer's limits. What it has less is given back once that is decided, so that no other buyer gets it before. A refusal
-- changes nothing, a hold keeps its end, and a key amends once.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, key field, fingerprint of the request, change or none, order or none}, ...}
--           change   by name: lines or customer, the new ones; pick_up: {sku, location, ...} of lines that name one;
--                    elsewhere where that customer's home shard is another;
--                    of an order restock and reason, and cancelled as the ledger is to have it
--                    none: asks only whether the key was used, and what the reservation is
--           order    see lib/orders.lua
-- results   {'amended', customer, lines, created_ms, hold_ms, expires_ms, fingerprint, revision, seq}; of a hold also with the
--           durability that the sale demands, unless that is the disk, and what told_of in lib/told.lua says; of an order
--           expires_ms is 0
--           {'as-it-is', seq}: the key was used before
--           {'amended-since', seq}: the order is not as in the request; the ledger has it once seq is recorded
--           {'sold-out', sku, available} {'limit-reached', limit, used, sku, by} {'sale-not-open', status, starts_ms}
--           {'identity-required', by}: the first request named none, and no other request can
--           {'hold-budget-reached', most, held, by} {'cooling-down', wait_ms, by} {'limits-elsewhere'} {'idempotency-mismatch'}
--           {'reservation-held'} {'reservation-confirmed'} {'reservation-released'} {'reservation-cancelled'}
--           {'reservation-expired'} {'unknown-reservation'} {'unknown-sale'} {'unknown-item', sku} {'overloaded'} {'recovering'}
--           {'unknown-location', location} {'item-not-on-sale', sku}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/told.lua
--@include lib/availability.lua
--@include lib/batch.lua
--@include lib/refusals.lua
--@include lib/orders.lua

-- difference(before, after): what changes, with its sign, what there is more coming first; and what there is more alone.
local function difference(before, after)
  local units, names, changes, more = {}, {}, {}, {}
  local function add(lines, sign)
    for i = 1, #lines, 2 do
      local name = lines[i]
      if not units[name] then names[#names + 1], units[name] = name, 0 end
      units[name] = units[name] + sign * lines[i + 1]
    end
  end
  add(after, 1)
  add(before, -1)
  local function collect(list, sign)
    for i = 1, #names do
      local n, change = #list, units[names[i]]
      if sign * change > 0 then list[n + 1], list[n + 2] = names[i], change end
    end
  end
  collect(more, 1)
  collect(changes, 1)
  collect(changes, -1)
  return changes, more
end

-- counts_more(sale, before, customer, lines, details): what counts more or less for limits by item and by identity, which stays;
-- and the refusal where an identity is missing.
local function counts_more(sale, before, customer, lines, details)
  local counts, no = counted_for(sale, customer, lines, details)
  if not counts then return nil, no end
  counts.more = units_of(lines) - units_of(before.lines) -- to another customer: nothing, for the hold's identities
  if counts.more <= 0 then counts.holders = nil end
  return limits.difference(counts, (counted_for(sale, before.customer, before.lines, details))), no
end

-- not_allowed(sale, before, customer, lines, changes, more, live, counts): why it can't be amended so, as a result; nil when it
-- can.
local function not_allowed(sale, before, customer, lines, changes, more, live, counts)
  for i = 1, #changes, 2 do
    if not item_of(sale, changes[i]) then return unknown_item(sale, changes[i]) end
  end
  local added = customer == before.customer and difference(before.lines, lines) or lines
  local units, status = units_of(added), status_now(sale.config)
  if #more == 0 and units <= 0 then return nil end -- it only gives back
  if live and #more > 0 and status ~= 'open' then return {'sale-not-open', status, sale.config.starts_ms} end
  local no = terms_seen and customer == before.customer and learn_prices().off_sale(sale, added)
  no = no or live and units > 0 and cooling_down(sale, customer, counts)
  return no or shortage(sale, customer, added, more, live, counts)
end

-- count_units(sale, customer, units, live): units that a customer has more, or fewer.
local function count_units(sale, customer, units, live)
  add_used(sale, customer, units)
  if live and sale.history then count_held(sale, customer, units) end
  if sale.touched then wake(sale, customer) end
end

-- apply(sale, before, customer, lines, changes, restock, live, counts): moves the units, and counts them for all limits.
local function apply(sale, before, customer, lines, changes, restock, live, counts)
  if counts then limits.count(sale, counts, 1) end
  local holders = live and sale.history and identity_holders(sale, before.kept) or NO_HOLDERS
  for i = 1, #holders do count_held(sale, holders[i].field, units_of(lines) - units_of(before.lines)) end
  move(sale, changes, live and 'held' or 'sold', 1)
  for i = 1, restock and 0 or #changes, 2 do
    if changes[i + 1] < 0 then move(sale, {changes[i], changes[i + 1]}, 'stock', 1) end
  end
  if customer == before.customer then
    count_units(sale, customer, units_of(lines) - units_of(before.lines), live)
  else
    count_units(sale, before.customer, -units_of(before.lines), live)
    count_units(sale, customer, units_of(lines), live)
  end
end

-- write(sale, id, record, customer, lines, details, revision): the record as it is from now on; returns a hold's end, or 0.
local function write(sale, id, record, customer, lines, details, revision)
  if record.status == CONFIRMED then
    put_blob(sale, id, ended_blob(CONFIRMED, record.fingerprint, record.created_ms, record.hold_ms, record.ended_ms, SEQ + 1,
      revision))
    return 0
  end
  local kept = {takes = details.takes, pick_up = details.pick_up, revision = revision, prices = details.prices}
  for name, value in pairs(record.kept or {}) do
    if name ~= 'takes' and name ~= 'pick_up' and kept[name] == nil then kept[name] = value end
  end
  record.customer, record.lines, record.kept, record.takes = customer, lines, kept, details.takes
  put_blob(sale, id, hold_blob(record))
  return record.expires_ms
end

-- append_told(result, sale, record): adds what a hold's result says beside its content, after the durability that is demanded.
local function append_told(result, sale, record)
  local told = told_of(sale, record)
  result[10] = #told > 0 and sale.config.durability or more_than_disk(sale.config)
  for i = 1, #told do result[10 + i] = told[i] end
end

local function decide(sale, id, key, body, change, order)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  local used = used_before(sale, key, body)
  if used then return used end
  local record = record_of(sale, id)
  if not record then return unknown_reservation(sale) end
  local live = record.status == HELD
  if live and NOW >= record.expires_ms then
    end_hold(sale, id, record, EXPIRED, record.expires_ms)
    return {REFUSAL[EXPIRED]}
  end
  if live and not change then return {'reservation-held'} end
  local no = (order or not live) and not_that_order(record, order)
  if no then return no end

  local before, revision = live and record or order, revision_of(record) + 1
  local customer, lines = change.customer or before.customer, change.lines or before.lines
  local takes, pick_up = nil, change.pick_up -- takes: what the lines move, where that is not the lines
  if not change.lines then pick_up = record.kept and record.kept.pick_up end
  if config.rules.pools then
    takes, no = pools.takes_of(sale, lines, {pick_up = pick_up}, before.takes or before.lines)
    if no then return no end
    takes = takes ~= lines and takes or nil
  elseif pick_up then
    return {'unknown-location', pick_up[2]}
  end
  local changes, more = difference(before.takes or before.lines, takes or lines)
  if revision > REVISIONS_MOST then return {'limit-reached', REVISIONS_MOST} end
  if change.elsewhere and (config.limit > 0 or sale.history or sale.limited) then return {'limits-elsewhere'} end
  local counts
  counts, no = counts_more(sale, before, customer, lines, live and record.kept or order)
  no = #more > 0 and no or not_allowed(sale, before, customer, lines, changes, more, live, counts)
  if no then return no end

  local restock, cancelled = change.restock ~= false, change.cancelled
  apply(sale, before, customer, lines, changes, restock, live, counts)
  local details = {takes = takes, pick_up = takes and pick_up, cancelled = cancelled}
  local own = live and record.kept and record.kept.prices or order and order.prices
  learn_prices().with(sale, lines, details, {lines = before.lines, prices = own})
  local expires_ms = write(sale, id, record, customer, lines, details, revision)
  details = next(details) and details or nil
  note_key(sale, id, key, body, revision, customer, lines, details)
  note(array_head(14) .. pack('amend', sale.id, id, lines, NOW, key, body, customer, revision, not live, changes, restock,
    change.reason or '', details))
  local result = {'amended', customer, lines, record.created_ms, record.hold_ms, expires_ms, record.fingerprint, revision, SEQ + 1}
  if live then append_told(result, sale, record) end
  return result
end

return run_batch(decide, {name = 3})
