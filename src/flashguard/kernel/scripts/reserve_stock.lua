#!lua
-- reserve_stock: sets units aside for buyers (hold), or sells them at once (buy). The heart of FlashGuard.
--
-- The rule: a unit is given only while stock - held - sold > 0, each customer stays within the sale's limit, a basket is
-- all or nothing, a key has one outcome, and no buyer is refused as sold-out while a hold past its end could be expired.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, fingerprint, customer, {sku, quantity, ...}, buy, admitted_until_ms, spread}, ...}
--           admitted_until_ms only of a buyer whom the sale's waiting room admitted, spread only to a shard of a spread sale
-- results   {'held' | 'confirmed', replayed, created_ms, hold_ms, ended_ms or 0, seq or 0}; a hold also with the
--           durability that the sale demands before it is answered, unless that is the disk
--           {'sold-out', sku, available} {'limit-reached', limit, used} {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'overloaded'} {'queue-required'} {'recovering'}
--           a hold also {'hold-budget-reached', most, held} {'cooling-down', wait_ms}
--           {'spread', number of the sale's shards}: the request was routed by another number

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/availability.lua
--@include lib/batch.lua

local BOUGHT = {'confirmed', false, NOW, 0, NOW, (SEQ or 0) + 1}

local function decide(sale, id, fingerprint, customer, lines, buy, admitted_until_ms, spread)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  if config.rules.spread ~= spread then return {'spread', config.rules.spread or 1} end

  local record = record_of(sale, id)
  if record then
    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
    local created_ms, hold_ms = record.created_ms, record.hold_ms
    if hold_ms == 0 then -- a direct order; the ledger had it before it could be cancelled
      return {'confirmed', true, created_ms, 0, created_ms, record.status == CONFIRMED and unrecorded(record) or 0}
    end
    return {'held', true, created_ms, hold_ms, 0, 0, more_than_disk(config)}
  end

  local status = status_now(config)
  if status ~= 'open' then return {'sale-not-open', status, config.starts_ms} end
  if config.rules.room and NOW >= (admitted_until_ms or 0) then return {'queue-required'} end
  local no = not buy and cooling_down(sale, customer) or shortage(sale, customer, lines, not buy)
  if no then return no end

  if buy then
    add_used(sale, customer, units_of(lines))
    move(sale, lines, 'sold', 1)
    put_new(sale, 'buy', id, fingerprint, customer, lines, 0)
    return BOUGHT
  end
  hold_units(sale, id, fingerprint, customer, lines, config.hold_ms)
  sale.held = sale.held or {'held', false, NOW, config.hold_ms, 0, 0, more_than_disk(config)}
  return sale.held
end

return run_batch(decide, {name = 3, customer = 5, lines = 6})
