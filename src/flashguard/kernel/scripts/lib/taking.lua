-- Taking units: what reserve_stock and a confirm with a receipt share.

-- shortage(sale, lines): the first line that can't be had in full: its sku and what is available; or nil.
local function shortage(sale, lines)
  if #lines == 2 then
    local item = sale.items[lines[1]]
    local available = free_units(item) - (item.owed or 0)
    if available < lines[2] then return lines[1], available end
    return nil
  end
  local sums = {}
  for i = 1, #lines, 2 do
    local sku = lines[i]
    sums[sku] = (sums[sku] or 0) + lines[i + 1] -- the same item on two lines adds up before the check
    local item = sale.items[sku]
    local available = free_units(item) - (item.owed or 0)
    if available < sums[sku] then return sku, available end
  end
  return nil
end

-- lacks(sale, customer, lines, hold): why these units can't be given, as a result; nil when they can. Ended holds
-- are taken back before it says no. hold: they are to be held, not sold.
local function lacks(sale, customer, lines, hold)
  for i = 1, #lines, 2 do
    if not sale.items[lines[i]] then return unknown_item(sale, lines[i]) end
  end
  if sale.stirred then -- who waits for these comes first, whatever happened since
    for i = 1, #lines, 2 do stir(sale, lines[i]) end
    hand_out(sale)
  end
  local units = units_of(lines)
  local no, sku, available = barred(sale, customer, units, hold), shortage(sale, lines)
  while sku or no do
    if sale.reclaimed >= RECLAIM_MOST then return {'overloaded'} end -- too many to look at: no false sold-out
    if not reclaim(sale) then return no or {'sold-out', sku, available} end
    no, sku, available = barred(sale, customer, units, hold), shortage(sale, lines)
  end
  return nil
end

-- cooling(sale, customer): why this customer may not hold anything for a while, as a result; nil when they may.
local function cooling(sale, customer)
  local rules = sale.config.rules
  if not rules.cool_down_ms then return nil end
  local habits = habits_of(sale, customer)
  while habits.held > 0 and reclaim(sale) do -- a hold of theirs that has just ended counts
    if sale.reclaimed >= RECLAIM_MOST then return {'overloaded'} end
  end
  local until_ms = cools_until(sale, customer)
  return until_ms > NOW and {'cooling-down', until_ms - NOW} or nil
end
