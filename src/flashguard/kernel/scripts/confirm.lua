#!lua
-- confirm: turns live holds into orders. A hold whose time has ended is given back instead, unless the buyer shows
-- its receipt: then, and for a hold that a lost memory forgot, it becomes an order while its units can be had.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, grant or none}, ...}
--           grant    what a verified receipt says: {fingerprint, customer, lines, created_ms, hold_ms}
-- results   {'confirmed', customer, lines, created_ms, hold_ms, expires_ms, confirmed_ms, seq}: done now
--           {'as-it-is', seq}: it was confirmed before; its content is in the ledger once seq is recorded
--           {'reservation-released'} {'reservation-cancelled'} {'reservation-expired'} {'unknown-reservation'}; with a grant also
--           {'reservation-expired', code}: too late, and why it can't be honoured
--           {'sold-out', sku, available} {'limit-reached', limit, used} {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'overloaded'} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/taking.lua
--@include lib/ending.lua

-- honour(sale, id, record, request): a receipt's grant where the hold is over or forgotten; nil where it is not.
local function honour(sale, id, record, request)
  local grant = request[3]
  if not grant then return nil end
  local fingerprint, customer, lines, created_ms, hold_ms = grant[1], grant[2], grant[3], grant[4], grant[5]
  if not sale.config then return {'unknown-sale'} end
  if record then
    local over = record[1] == EXPIRED or (record[1] == HELD and NOW >= record[3] + record[5])
    if not over then return nil end
    if record[2] ~= fingerprint then return {'idempotency-mismatch'} end
  end
  local expires_ms = created_ms + hold_ms
  if record then created_ms, hold_ms = record[3], record[4] end
  local status, no = status_now(sale.config), nil
  if status ~= 'open' and status ~= 'paused' then
    no = {'sale-not-open', status, sale.config.starts_ms}
  elseif record and record[1] == HELD then -- its units are still its own
    local done = {'confirmed', record[6], record[7], record[3], record[4], record[3] + record[5], NOW, SEQ + 1}
    finish(sale, id, record, CONFIRMED, NOW)
    return done
  else
    no = lacks(sale, customer, lines)
  end
  if no and record and record[1] == HELD then return nil end -- it ends as it does without a receipt
  if no then return NOW >= expires_ms and no[1] ~= 'overloaded' and {REFUSAL[EXPIRED], no[1]} or no end
  add_used(sale, customer, units_of(lines))
  if record and sale.habits then count_lapse(sale, customer, record[3] + record[5], -1) end
  move(sale, lines, 'sold', 1)
  put_record(sale, id, {CONFIRMED, fingerprint, created_ms, hold_ms, NOW - created_ms, SEQ + 1})
  transitions[#transitions + 1] = {'honour', sale.id, id, lines, NOW, fingerprint, customer, hold_ms, created_ms}
  return {'confirmed', customer, lines, created_ms, hold_ms, expires_ms, NOW, SEQ + 1}
end

return end_holds(CONFIRMED, 'confirmed', honour)
