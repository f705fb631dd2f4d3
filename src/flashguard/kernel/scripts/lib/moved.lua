-- Units that move between the shards of a spread sale, counted per item on each shard. The counts of all shards together
-- tell whether any units are on their way.
--
--   reservations  hash   moved:<sku> -> 'moved', outs, ins, units out, units in

local function is_transfer(key) return string.sub(key, 1, 9) == 'transfer:' end

-- is_for_list(key): whether units are moved for the waiting list, not for a buyer.
local function is_for_list(key) return string.sub(key, 1, 14) == 'transfer:list-' end

local function moved_of(sale, sku)
  return record_of(sale, 'moved:' .. sku) or {kind = 'moved', outs = 0, ins = 0, units_out = 0, units_in = 0}
end

-- count_moved(sale, sku, delta): counts one transfer; below zero, the units leave.
local function count_moved(sale, sku, delta)
  local moved = moved_of(sale, sku)
  if delta < 0 then
    moved.outs, moved.units_out = moved.outs + 1, moved.units_out - delta
  else
    moved.ins, moved.units_in = moved.ins + 1, moved.units_in + delta
  end
  put_record(sale, 'moved:' .. sku, moved)
end
