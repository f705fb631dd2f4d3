#!lua
-- survey: what a part of a spread sale has of an item for buyers of other parts. Ended holds are taken back first.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, sku}, ...}
-- results   {available, outs, ins, settled}: outs and ins as lib/moved.lua counts them; settled is false while there
--           are more ended holds than one call takes back
--           {'unknown-sale'} {'unknown-item', sku} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/moved.lua

local refusal = closed()
if refusal then return answer(refusal) end
local wants, _, add_sku = wanted()
for i = 1, #REQUESTS do add_sku(REQUESTS[i][1], REQUESTS[i][2]) end
prefetch(wants)

local results = {}
for i = 1, #REQUESTS do
  local sale, sku = SALES[REQUESTS[i][1]], REQUESTS[i][2]
  if not sale.config then
    results[i] = {'unknown-sale'}
  elseif not sale.items[sku] then
    results[i] = unknown_item(sale, sku)
  else
    while sale.reclaimed < RECLAIM_MOST and reclaim(sale) do end
    local item, moved = sale.items[sku], moved_of(sale, sku)
    results[i] = {item.stock - item.held - item.sold, moved[2], moved[3], sale.drained}
  end
end
flush()
return answer('', results)
