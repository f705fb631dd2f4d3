#!lua
-- extend: extends live holds to the sale's hold time from now, never past the sale's absolute limit of a hold.
--
-- The rule: a key extends a hold once. A retry returns the same end and never restarts the clock.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, key fingerprint}, ...}
-- results   {'held', replayed, customer, lines, created_ms, hold_ms, expires_ms, {fingerprint, revision, more, prices} as amended_of}
--           {'limit-reached', most extensions} {'sale-not-open', status, starts_ms}
--           {'reservation-confirmed'} {'reservation-released'} {'reservation-cancelled'} {'reservation-expired'}
--           {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/told.lua
--@include lib/batch.lua
--@include lib/refusals.lua

local EXTENSIONS_MOST = 32 -- of one hold; bounds its record

local function decide(sale, id, key)
  local record = record_of(sale, id)
  if not record then return unknown_reservation(sale) end
  if record.status ~= HELD then return {REFUSAL[record.status]} end
  local created_ms, expires_ms, extensions = record.created_ms, record.expires_ms, record.extensions
  local customer, lines, hold_ms = record.customer, record.lines, record.hold_ms
  if NOW >= expires_ms then
    end_hold(sale, id, record, EXPIRED, expires_ms)
    return {REFUSAL[EXPIRED]}
  end
  for i = 1, #extensions, 2 do
    if extensions[i] == key then
      return {'held', true, customer, lines, created_ms, hold_ms, extensions[i + 1], amended_of(sale, record)}
    end
  end
  local status = status_now(sale.config)
  if status ~= 'open' then return {'sale-not-open', status, sale.config.starts_ms} end
  if #extensions >= 2 * EXTENSIONS_MOST then return {'limit-reached', EXTENSIONS_MOST} end

  local config = sale.config
  local until_ms = math.max(expires_ms, math.min(NOW + config.hold_ms, created_ms + config.max_hold_ms))
  local longer = {unpack(extensions)}
  longer[#longer + 1] = key
  longer[#longer + 1] = until_ms
  record.expires_ms, record.extensions = until_ms, longer
  put_blob(sale, id, hold_blob(record))
  add_deadline(sale, until_ms, id)
  note(pack({'extend', sale.id, id, {}, NOW, key, '', until_ms}))
  return {'held', false, customer, lines, created_ms, hold_ms, until_ms, amended_of(sale, record)}
end

return run_batch(decide, {name = 3})
