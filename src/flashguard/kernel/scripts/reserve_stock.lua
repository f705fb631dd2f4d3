#!lua
-- reserve_stock: sets units aside for buyers (hold), or sells them at once (buy). The heart of FlashGuard.
--
-- The rule: a unit is given only while stock - held - sold > 0, each customer stays within the sale's limit, a basket is
-- all or nothing, a key has one outcome, and no buyer is refused as sold-out while a hold past its end could be expired.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, fingerprint, customer, {sku, quantity, ...}, buy, admission, spread, details}, ...}
--           admission: until when the sale's waiting room admits the buyer, in ms; {until when, host} where it is another sale's;
--           nothing without one. spread only to a shard of a spread sale, details only where there are any, see lib/records.lua
-- results   {'held' | 'confirmed', replayed, created_ms, hold_ms, ended_ms or 0, seq or 0}; a hold also with the
--           durability that the sale demands before it is answered, unless that is the disk; in a sale with locations then
--           takes, empty where the ledger alone has them; then its prices: true of a replayed order, of which the ledger has
--           them
--           {'sold-out', sku, available, the pool that is short if it is one}
--           {'limit-reached', limit, used, sku of the item whose limit it is or '', by}; the sale's names neither
--           {'identity-required', by}: a limit counts by it; {'unknown-identity', by}: none does
--           {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'unknown-location', location} {'item-not-on-sale', sku}
--           {'idempotency-mismatch'} {'overloaded'} {'queue-required'} {'recovering'}
--           a hold also {'hold-budget-reached', most, held, by} {'cooling-down', wait_ms, by}; by only of an identity
--           {'spread', number of the sale's shards}: the request was routed by another number

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/availability.lua
--@include lib/batch.lua

local BOUGHT = {'confirmed', false, NOW, 0, NOW, (SEQ or 0) + 1}

local function held_result(config, replayed, created_ms, hold_ms, takes, prices)
  local durability = more_than_disk(config) or (takes or prices) and '' or nil
  return {'held', replayed, created_ms, hold_ms, 0, 0, durability, takes or prices and false, prices}
end

local function decide(sale, id, fingerprint, customer, lines, buy, admission, spread, details)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  if config.rules.spread ~= spread then return {'spread', config.rules.spread or 1} end

  local record = record_of(sale, id)
  if record then
    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
    local created_ms, hold_ms, takes = record.created_ms, record.hold_ms, nil
    if config.rules.locations then takes = record.status == HELD and (record.takes or record.lines) or {} end
    if hold_ms == 0 then -- a direct order; the ledger had it before it could be cancelled
      local seq, priced = record.status == CONFIRMED and unrecorded(record) or 0, terms_seen and learn_prices().with(sale, lines)
      if priced then return {'confirmed', true, created_ms, 0, created_ms, seq, takes or false, true} end
      return {'confirmed', true, created_ms, 0, created_ms, seq, takes}
    end
    local prices = record.status == HELD and (terms_seen or record.kept) and learn_prices().of(sale, record)
    return held_result(config, true, created_ms, hold_ms, takes, prices or nil)
  end

  local status = status_now(config)
  if status ~= 'open' then return {'sale-not-open', status, config.starts_ms} end
  local room = config.rules.room
  if room then
    local until_ms, host = admission or 0, nil
    if type(until_ms) == 'table' then until_ms, host = unpack(until_ms) end
    if host ~= room.of or NOW >= until_ms then return {'queue-required'} end
  end
  local no
  if config.rules.pools then
    details, no = pools.with_takes(sale, lines, details)
    if no then return no end
  elseif details and details.pick_up then
    return {'unknown-location', details.pick_up[2]}
  end
  if terms_seen then
    no = learn_prices().off_sale(sale, lines)
    if no then return no end
    details = prices.with(sale, lines, details)
  end
  local takes = details and details.takes or lines
  local counts
  if sale.limited then counts, no = counted_for(sale, customer, lines, details) end
  no = no or details and details.identities and learn_limits().unknown(sale, details)
    or not buy and cooling_down(sale, customer, counts) or shortage(sale, customer, lines, takes, not buy, counts)
  if no then return no end

  if buy then
    count_used(sale, customer, lines, details, 1)
    move(sale, takes, 'sold', 1)
    put_new(sale, 'buy', id, fingerprint, customer, lines, 0, details)
    local prices = details and details.prices
    if not prices and not config.rules.locations then return BOUGHT end
    return {'confirmed', false, NOW, 0, NOW, SEQ + 1, config.rules.locations and takes or false, prices}
  end
  hold_units(sale, id, fingerprint, customer, lines, config.hold_ms, details)
  local prices = details and details.prices
  if config.rules.locations or prices then
    return held_result(config, false, NOW, config.hold_ms, config.rules.locations and takes, prices)
  end
  sale.held = sale.held or held_result(config, false, NOW, config.hold_ms)
  return sale.held
end

return run_batch(decide, {name = 3, customer = 5, lines = 6})
