-- Taking units: what reserve_stock and a confirm with a receipt share.

-- shortage(sale, lines): the first line that can't be had in full: its sku and what is available; or nil.
local function shortage(sale, lines)
  if #lines == 2 then
    local item = sale.items[lines[1]]
    local available = item.stock - item.held - item.sold
    if available < lines[2] then return lines[1], available end
    return nil
  end
  local sums = {}
  for i = 1, #lines, 2 do
    local sku = lines[i]
    sums[sku] = (sums[sku] or 0) + lines[i + 1] -- the same item on two lines adds up before the check
    local item = sale.items[sku]
    local available = item.stock - item.held - item.sold
    if available < sums[sku] then return sku, available end
  end
  return nil
end

-- lacks(sale, customer, lines): why these units can't be given, as a result; nil when they can. Ended holds are
-- taken back before it says no.
local function lacks(sale, customer, lines)
  local config = sale.config
  for i = 1, #lines, 2 do
    if not sale.items[lines[i]] then return {'unknown-item', lines[i]} end
  end
  local units = units_of(lines)
  local sku, available = shortage(sale, lines)
  while sku or (config.limit > 0 and used_by(sale, customer) + units > config.limit) do
    if sale.reclaimed >= RECLAIM_MOST then return {'overloaded'} end -- too many to look at: no false sold-out
    if not reclaim(sale) then
      if config.limit > 0 and used_by(sale, customer) + units > config.limit then
        return {'limit-reached', config.limit, used_by(sale, customer)}
      end
      return {'sold-out', sku, available}
    end
    sku, available = shortage(sale, lines)
  end
  return nil
end
