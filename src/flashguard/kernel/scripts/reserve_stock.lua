#!lua
-- reserve_stock: sets units aside for buyers (hold), or sells them at once (buy). The heart of FlashGuard.
--
-- The rule: a unit is given only while stock - held - sold > 0, each customer stays within the sale's limit,
-- a basket is all or nothing, a key has one outcome, and nobody is told sold-out while an ended hold could
-- be taken back.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id, fingerprint, customer, {sku, quantity, ...}, buy, admitted_until_ms, spread}, ...}; the
--           last two only from a buyer whom the sale's waiting room admitted, and to a part of a spread sale
-- results   {'held' | 'confirmed', replayed, created_ms, hold_ms, ended_ms or 0, seq or 0}, a hold also with what
--           must be done before it is answered, where the sale wants more, or less, than the disk
--           {'sold-out', sku, available} {'limit-reached', limit, used} {'sale-not-open', status, starts_ms}
--           {'unknown-sale'} {'unknown-item', sku} {'idempotency-mismatch'} {'overloaded'} {'queue-required'} {'recovering'}
--           a hold also {'hold-budget-reached', most, held} {'cooling-down', for so many ms}
--           {'spread', over how many parts the sale is}: the request was routed by another number

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/taking.lua

local refusal = closed()
if refusal then return answer(refusal) end

local wants, add, add_sku = wanted()
for i = 1, #REQUESTS do
  local request = REQUESTS[i]
  add(request[1], request[2], request[4])
  local lines = request[5]
  for j = 1, #lines, 2 do add_sku(request[1], lines[j]) end
end
prefetch(wants)

local function decide(request)
  local sale = SALES[request[1]]
  local id, fingerprint, customer, lines, buy = request[2], request[3], request[4], request[5], request[6]
  if not sale.config then return {'unknown-sale'} end
  if sale.config.rules.spread ~= request[8] then return {'spread', sale.config.rules.spread or 1} end

  local record = sale.records[id]
  if record then
    if record[2] ~= fingerprint then return {'idempotency-mismatch'} end
    if record[4] == 0 then -- it was confirmed when it was made, and in the ledger before it could be cancelled
      return {'confirmed', true, record[3], 0, record[3], record[1] == CONFIRMED and unrecorded(record) or 0}
    end
    return {'held', true, record[3], record[4], 0, 0, more_than_disk(sale.config)}
  end

  local config = sale.config
  local status = status_now(config)
  if status ~= 'open' then return {'sale-not-open', status, config.starts_ms} end
  if config.rules.room and NOW >= (request[7] or 0) then return {'queue-required'} end
  local no = not buy and cooling(sale, customer) or lacks(sale, customer, lines, not buy)
  if no then return no end

  add_used(sale, customer, units_of(lines))
  if buy then
    move(sale, lines, 'sold', 1)
    put_record(sale, id, {CONFIRMED, fingerprint, NOW, 0, 0, SEQ + 1})
    transitions[#transitions + 1] = {'buy', sale.id, id, lines, NOW, fingerprint, customer, 0}
    return {'confirmed', false, NOW, 0, NOW, SEQ + 1}
  end
  move(sale, lines, 'held', 1)
  if sale.habits then count_held(sale, customer, units_of(lines)) end
  put_record(sale, id, {HELD, fingerprint, NOW, config.hold_ms, config.hold_ms, customer, lines, {}})
  local added = sale.deadlines_added
  added[#added + 1] = NOW + config.hold_ms
  added[#added + 1] = id
  transitions[#transitions + 1] = {'hold', sale.id, id, lines, NOW, fingerprint, customer, config.hold_ms}
  return {'held', false, NOW, config.hold_ms, 0, 0, more_than_disk(config)}
end

local results = {}
for i = 1, #REQUESTS do
  local sale = SALES[REQUESTS[i][1]]
  results[i] = decide(REQUESTS[i])
  if sale.stirred then hand_out(sale) end
end
flush()
return answer('', results)
