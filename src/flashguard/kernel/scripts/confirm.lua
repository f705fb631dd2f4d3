#!lua
-- confirm: turns live holds into orders. A hold past its end expires instead.
--
-- The rule of a late confirm: with its receipt, a hold that expired, or that memory lost, becomes an order as long as its
-- units are available.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, grant or none}, ...}
--           grant    what a verified receipt says: {fingerprint, customer, lines, created_ms, hold_ms, details if any}
-- results   {'confirmed', customer, lines, created_ms, hold_ms, expires_ms, confirmed_ms, seq, more, takes, prices}: done now;
--           more as in lib/records.lua, takes where units of locations are among them, prices as in lib/prices.lua
--           {'as-it-is', seq}: it was confirmed before; its content is in the ledger once seq is recorded
--           {'reservation-released'} {'reservation-cancelled'} {'reservation-expired'} {'unknown-reservation'}; with a grant also
--           {'reservation-expired', code}: too late, and why a late confirm is not possible; amended: the receipt is older
--           {'reservation-amended'}: the receipt is newer than the live hold
--           {'sold-out', sku, available, pool} {'limit-reached', limit, used, sku, by} {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'overloaded'} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/availability.lua
--@include lib/ending.lua

-- late_confirm(sale, id, record, grant): the result where a receipt's hold has expired or is lost; nil where it is live.
local function late_confirm(sale, id, record, grant)
  if not grant then return nil end
  local fingerprint, customer, lines, created_ms, hold_ms, details = unpack(grant)
  local revision = details and details.revision or 0
  if not sale.config then return {'unknown-sale'} end
  local held = record and record.status == HELD
  if record then
    local over = record.status == EXPIRED or (held and NOW >= record.expires_ms)
    if not over then return held and revision > revision_of(record) and {'reservation-amended'} or nil end
    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
    if revision_of(record) ~= revision then
      if held then end_hold(sale, id, record, EXPIRED, record.expires_ms) end
      return {REFUSAL[EXPIRED], 'amended'}
    end
  end
  local expires_ms = created_ms + hold_ms
  if record then created_ms, hold_ms = record.created_ms, record.hold_ms end
  local status, takes, no = status_now(sale.config), lines, nil
  if status ~= 'open' and status ~= 'paused' then
    no = {'sale-not-open', status, sale.config.starts_ms}
  elseif held then -- it still has its units
    return end_now(sale, id, record, CONFIRMED, 'confirmed')
  else
    if sale.config.rules.pools then details, no = pools.with_takes(sale, lines, details) end
    takes = details and details.takes or lines
    local counts, missing = counted_for(sale, customer, lines, details)
    no = no or missing or shortage(sale, customer, lines, takes, false, counts)
  end
  if no and held then return nil end -- it expires, as it does without a receipt
  if no then return NOW >= expires_ms and no[1] ~= 'overloaded' and {REFUSAL[EXPIRED], no[1]} or no end
  count_used(sale, customer, lines, details, 1)
  if record and sale.history then count_expired_by(sale, customer, details, record.expires_ms or record.ended_ms, -1) end
  move(sale, takes, 'sold', 1)
  put_blob(sale, id, ended_blob(CONFIRMED, fingerprint, created_ms, hold_ms, NOW, SEQ + 1, revision))
  note(pack({'honour', sale.id, id, lines, NOW, fingerprint, customer, hold_ms, created_ms, details}))
  local prices = learn_prices().of(sale, {lines = lines, kept = details})
  return ended_result('confirmed', customer, lines, created_ms, hold_ms, expires_ms, nil, takes, prices)
end

return end_each(CONFIRMED, 'confirmed', late_confirm)
