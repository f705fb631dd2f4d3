#!lua
-- change_item: adds items to sales, changes them, and removes those of which nothing was ever held.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, what, sku, change, key field or '', fingerprint of the request}, ...}
--           what     add, set or remove
--           change   by name; row: what the ledger writes, as JSON
--                    add     counters, {name, stock, recipe, ...}; price; limit, the item's own, if any
--                    set     price, on_sale and limit, where they change, limit is false for none; first, the price before all
--                            changes
--                    remove  used: the ledger knows a hold of it; else epoch and seq of the newest entry that it had then
-- results   {the sale's status, replayed, seq}
--           {'sale-not-open', 'closed'} {'unknown-sale'} {'unknown-item', sku} {'item-exists', sku} {'unknown-pool', pool}
--           {'item-in-use', sku} {'limit-not-counted', sku}: see change_sale.lua
--           {'idempotency-mismatch'} {'overloaded'} {'recovering'}
--
-- A change without effect is journalled like any other, for the reason that change_sale.lua gives. Before a sale opens, its
-- prices are first prices, see lib/prices.lua; an item that is added later has a price of its own.

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/journal_sale.lua
--@include lib/item_limits.lua

local TAIL_MOST = 500 -- entries that the ledger does not have yet, of which one call reads what they hold

-- recipe_of(sale, name): of an item a table, see pools.lua and locations.lua; 'pool' or 'location' of another counter; nil in a
-- sale without either.
local function recipe_of(sale, name)
  local blob = redis.call('HGET', sale.key, 'recipe:' .. name)
  return blob and cmsgpack.unpack(blob) or nil
end

local function not_an_item(sale, sku)
  if item_of(sale, sku) and type(recipe_of(sale, sku)) ~= 'string' then return nil end
  return item_of(sale, sku) and {'unknown-item', sku} or unknown_item(sale, sku)
end

-- count_fields(sale, n): keeps the number of items and recipes that the sale must have.
local function count_fields(sale, n)
  redis.call('HINCRBY', sale.key, 'items', sale.config.rules.pools and 2 * n or n)
end

local do_change = {}

function do_change.add(sale, sku, change, opened)
  local counters = change.counters
  for i = 1, #counters, 3 do
    local name, recipe = counters[i], counters[i + 2]
    if item_of(sale, name) then return {'item-exists', name} end
    local lost = unknown_item(sale, name)
    if lost[1] == 'recovering' then return lost end
    for j = 1, type(recipe) == 'table' and #recipe or 0, 2 do
      if recipe_of(sale, recipe[j]) ~= 'pool' then return {'unknown-pool', recipe[j]} end
    end
  end
  for i = 1, #counters, 3 do
    local name = counters[i]
    sale.items[name] = {stock = counters[i + 1], held = 0, sold = 0}
    if opened and name == sku then sale.items[name].price, sale.items[name].first = change.price, change.price end
    redis.call('HSET', sale.key, 'item:' .. name, item_text(sale.items[name]))
    if sale.config.rules.pools then
      redis.call('HSET', sale.key, 'recipe:' .. name, pack(counters[i + 2]))
      sale.recipes[name] = counters[i + 2]
    end
  end
  count_fields(sale, #counters / 3)
end

function do_change.set(sale, sku, change, opened)
  local no = not_an_item(sale, sku)
  if no then return no end
  if change.limit ~= nil and begins_late(sale, sku, change.limit) then return {'limit-not-counted', sku} end
  local item = item_of(sale, sku)
  if opened and change.price then item.price, item.first = change.price, item.first or change.first end
  if change.on_sale ~= nil then item.off = not change.on_sale or nil end
  sale.items_rewritten[sku], terms_seen = item, true
  if sale.touched then touch(sale, sku, 1) end -- as if a unit came back: the item may be on sale again
end

local HELD_BY = {hold = true, buy = true, ["honour"] = true, amend = true}

-- has_units(transition, sale, sku): whether it holds or sells units of an item.
local function has_units(transition, sale, sku)
  local lines = HELD_BY[transition[1]] and transition[2] == sale.id and transition[4] or {}
  for i = 1, #lines, 2 do
    if lines[i] == sku then return true end
  end
  return false
end

-- held_since(sale, sku, seq): whether an entry after this one holds units of the item; nil where they are too many to read.
local function held_since(sale, sku, seq)
  local from = string.format('(%.0f-%.0f', EPOCH, seq)
  local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', TAIL_MOST)
  if #entries == TAIL_MOST then return nil end
  for i = 1, #entries do
    local fields = entries[i][2]
    for j = 1, #fields, 2 do
      local transitions = fields[j] == 'd' and cmsgpack.unpack(fields[j + 1])[2] or {}
      for k = 1, #transitions do
        if has_units(transitions[k], sale, sku) then return true end
      end
    end
  end
  return false
end

function do_change.remove(sale, sku, change)
  local no = not_an_item(sale, sku)
  if no then return no end
  if change.used then return {'item-in-use', sku} end
  if change.epoch ~= EPOCH then return {'recovering'} end
  local item, held = item_of(sale, sku), held_since(sale, sku, change.seq)
  local waits = redis.call('ZLEXCOUNT', sale.queue_key, '[p' .. sku .. '\0', '(p' .. sku .. '\1') > 0
  if item.held + item.sold > 0 or held or waits then return {'item-in-use', sku} end
  if held == nil then return {'overloaded'} end
  local names, recipe, places = {sku}, recipe_of(sale, sku), sale.config.rules.locations
  for i = 1, recipe and recipe.at and #places or 0, 2 do names[#names + 1] = pools.counter_at(sku, places[i]) end
  for i = 1, #names do
    redis.call('HDEL', sale.key, 'item:' .. names[i], 'recipe:' .. names[i])
    sale.items[names[i]], sale.items_rewritten[names[i]] = false, nil
  end
  count_fields(sale, -#names)
  change.limit = (sale.config.rules.item_limits or {})[sku] and false -- nothing of it was counted
end

-- limits_after(sale, what, sku, most): the rule item_limits, as item_limits_after gives it; of an item that is gone nothing is kept.
local function limits_after(sale, what, sku, most)
  local after = item_limits_after(sale, {[sku] = most})
  if after and what == 'remove' then after[sku] = nil end
  return after and next(after) and after or false
end

local function decide(sale, what, sku, change, key, body)
  if not sale.config then return {'unknown-sale'} end
  local verb, record = string.format('item %.0f', body), key ~= '' and record_of(sale, key)
  if record then
    if record.verb ~= verb then return {'idempotency-mismatch'} end
    return {record.status, true, unrecorded(record)}
  end
  local status = status_now(sale.config)
  if status == 'closed' then return {'sale-not-open', status} end
  local opened = status ~= 'draft'
  local no = do_change[what](sale, sku, change, opened)
  if no then return no end
  if key ~= '' then put_record(sale, key, {kind = 'sale-change', verb = verb, status = status, seq = SEQ + 1}) end
  note(pack({'item', sale.id, key, {}, NOW, what, sku, change.row, opened, verb, status}))
  if change.limit ~= nil then
    sale.config.rules = with_rules(sale.config.rules, {item_limits = limits_after(sale, what, sku, change.limit)})
    sale.config.status = status
    find_limits(sale)
    journal_sale(sale, '', 'patch')
  end
  return {status, false, SEQ + 1}
end

return run_batch(decide, {name = 6})
