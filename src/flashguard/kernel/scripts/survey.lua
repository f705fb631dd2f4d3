#!lua
-- survey: returns what a shard of a spread sale has of an item for buyers of other shards: not what is set aside for its
-- waiting list. Holds past their end expire first.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, sku}, ...}
-- results   {available, outs, ins, settled}: outs and ins as lib/moved.lua counts them; settled is false while
--           there are more holds past their end than one call expires
--           {'unknown-sale'} {'unknown-item', sku} {'recovering'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/moved.lua

local function decide(sale, sku)
  if not sale.config then return {'unknown-sale'} end
  local item = item_of(sale, sku)
  if not item then return unknown_item(sale, sku) end
  while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end
  local moved = moved_of(sale, sku)
  return {free_units(item) - (item.set_aside or 0), moved.outs, moved.ins, sale.drained}
end

return run_batch(decide)
