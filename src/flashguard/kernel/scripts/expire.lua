#!lua
-- expire: takes back holds whose time has ended, and moves sales that the clock opens or closes.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index}, ...}
-- results   {holds taken back, more are waiting}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/noting.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, add = wanted()
for i = 1, #REQUESTS do add(REQUESTS[i][1]) end
prefetch(wants)

local results, total = {}, 0
for i = 1, #REQUESTS do
  local sale = SALES[REQUESTS[i][1]]
  if sale.config then
    local status = status_now(sale.config)
    if status ~= sale.config.status then
      sale.config.status = status
      note_sale(sale, '', '')
    end
    while total < RECLAIM_MOST and reclaim(sale) do total = total + RECLAIM_PAGE end
    if sale.stirred then
      stir_all(sale)
      hand_out(sale)
    end
  end
  results[i] = {sale.reclaimed, sale.config ~= nil and not sale.drained} -- a sale that is not here has none
end
flush()
return answer('', results)
