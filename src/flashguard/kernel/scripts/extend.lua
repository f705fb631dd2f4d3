#!lua
-- extend: gives live holds more time: the sale's hold time from now, never past its absolute hold limit.
-- A key that extended this hold before has no second effect: a retry never restarts the clock.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, key fingerprint}, ...}
-- results   {'held', replayed, customer, lines, created_ms, hold_ms, expires_ms}
--           {'limit-reached', most extensions} {'sale-not-open', status, starts_ms}
--           {'reservation-confirmed'} {'reservation-released'} {'reservation-cancelled'} {'reservation-expired'}
--           {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua

local EXTENSIONS_MOST = 32 -- of one hold; bounds its record

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add = wanted()
for i = 1, #REQUESTS do add(REQUESTS[i][1], REQUESTS[i][2]) end
prefetch(wants)

local function decide(sale, id, key)
  local record = sale.records[id]
  if not record then return {'unknown-reservation'} end
  if record[1] ~= HELD then return {REFUSAL[record[1]]} end
  local created_ms, expires_ms, extensions = record[3], record[3] + record[5], record[8]
  if NOW >= expires_ms then
    finish(sale, id, record, EXPIRED, expires_ms)
    return {REFUSAL[EXPIRED]}
  end
  for i = 1, #extensions, 2 do
    if extensions[i] == key then
      return {'held', true, record[6], record[7], created_ms, record[4], extensions[i + 1]}
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
  put_record(sale, id, {HELD, record[2], created_ms, record[4], until_ms - created_ms, record[6], record[7], longer})
  local added = sale.deadlines_added
  added[#added + 1] = until_ms
  added[#added + 1] = id
  transitions[#transitions + 1] = {'extend', sale.id, id, {}, NOW, key, '', until_ms}
  return {'held', false, record[6], record[7], created_ms, record[4], until_ms}
end

local results = {}
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  results[i] = decide(SALES[request[1]], request[2], request[3])
  if SALES[request[1]].stirred then hand_out(SALES[request[1]]) end
end
flush()
return answer('', results)
