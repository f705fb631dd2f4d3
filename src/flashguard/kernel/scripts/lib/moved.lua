-- Units that move between the parts of a spread sale, counted per item in each part: whoever reads all parts sees from
-- the counts whether any are on their way.
--
--   reservations  hash   moved:<sku> -> 'moved', outs, ins, units out, units in

local function is_transfer(key) return string.sub(key, 1, 9) == 'transfer:' end

local function moved_of(sale, sku)
  return record_of(sale, 'moved:' .. sku) or {'moved', 0, 0, 0, 0}
end

-- count_moved(sale, sku, delta): one more transfer of so many units, out below zero.
local function count_moved(sale, sku, delta)
  local m = moved_of(sale, sku)
  local out = delta < 0
  put_record(sale, 'moved:' .. sku, {'moved', m[2] + (out and 1 or 0), m[3] + (out and 0 or 1),
    m[4] + (out and -delta or 0), m[5] + (out and 0 or delta)})
end
