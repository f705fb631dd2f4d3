#!lua
-- confirm: turns live holds into orders. A hold past its end expires instead.
--
-- The rule of a late confirm: with its receipt, a hold that expired, or that memory lost, becomes an order as long as its
-- units are available.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, grant or none}, ...}
--           grant    what a verified receipt says: {fingerprint, customer, lines, created_ms, hold_ms}
-- results   {'confirmed', customer, lines, created_ms, hold_ms, expires_ms, confirmed_ms, seq}: done now
--           {'as-it-is', seq}: it was confirmed before; its content is in the ledger once seq is recorded
--           {'reservation-released'} {'reservation-cancelled'} {'reservation-expired'} {'unknown-reservation'}; with a grant also
--           {'reservation-expired', code}: too late, and why a late confirm is not possible
--           {'sold-out', sku, available} {'limit-reached', limit, used} {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'overloaded'} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/availability.lua
--@include lib/ending.lua

-- late_confirm(sale, id, record, grant): the result where a receipt's hold has expired or is lost; nil where it is live.
local function late_confirm(sale, id, record, grant)
  if not grant then return nil end
  local fingerprint, customer, lines, created_ms, hold_ms = unpack(grant)
  if not sale.config then return {'unknown-sale'} end
  local held = record and record.status == HELD
  if record then
    local over = record.status == EXPIRED or (held and NOW >= record.expires_ms)
    if not over then return nil end
    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
  end
  local expires_ms = created_ms + hold_ms
  if record then created_ms, hold_ms = record.created_ms, record.hold_ms end
  local status, no = status_now(sale.config), nil
  if status ~= 'open' and status ~= 'paused' then
    no = {'sale-not-open', status, sale.config.starts_ms}
  elseif held then -- it still has its units
    return end_now(sale, id, record, CONFIRMED, 'confirmed')
  else
    no = shortage(sale, customer, lines)
  end
  if no and held then return nil end -- it expires, as it does without a receipt
  if no then return NOW >= expires_ms and no[1] ~= 'overloaded' and {REFUSAL[EXPIRED], no[1]} or no end
  add_used(sale, customer, units_of(lines))
  if record and sale.history then count_expired(sale, customer, record.expires_ms or record.ended_ms, -1) end
  move(sale, lines, 'sold', 1)
  put_blob(sale, id, ended_blob(CONFIRMED, fingerprint, created_ms, hold_ms, NOW, SEQ + 1))
  note(pack({'honour', sale.id, id, lines, NOW, fingerprint, customer, hold_ms, created_ms}))
  return ended_result('confirmed', customer, lines, created_ms, hold_ms, expires_ms)
end

return end_each(CONFIRMED, 'confirmed', late_confirm)
