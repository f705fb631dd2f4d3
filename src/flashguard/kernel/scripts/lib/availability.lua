-- Whether units can be given: what reserve_stock, a late confirm and a joining entry share.

-- short_line(sale, lines): the first line with too few available units, as its sku and the units available; or nil. lines: what
-- is taken, which may be other counters than those that the buyer named.
local function short_line(sale, lines)
  if #lines == 2 then
    local item = item_of(sale, lines[1])
    local available = free_units(item) - (item.set_aside or 0)
    if available < lines[2] then return lines[1], available end
    return nil
  end
  local sums = {}
  for i = 1, #lines, 2 do
    local sku = lines[i]
    sums[sku] = (sums[sku] or 0) + lines[i + 1] -- the same item on two lines adds up before the check
    local item = item_of(sale, sku)
    local available = free_units(item) - (item.set_aside or 0)
    if available < sums[sku] then return sku, available end
  end
  return nil
end

-- sold_out(sale, sku, available): the result; the same table as before where nothing has changed since.
local function sold_out(sale, sku, available)
  local last = sale.sold_out
  if not last or last[2] ~= sku or last[3] ~= available then
    last = {'sold-out', sku, available}
    sale.sold_out = last
  end
  return last
end

-- shortage(sale, customer, lines, takes, hold, counts): why these units can't be given, as a result; nil when they can. Before
-- it refuses, it expires holds past their end. takes: what the lines move. hold: the units are to be held, not sold. counts: of
-- counted_for.
local function shortage(sale, customer, lines, takes, hold, counts)
  for i = 1, #takes, 2 do
    if not item_of(sale, takes[i]) then return unknown_item(sale, takes[i]) end
  end
  if sale.touched then -- who waits for these units comes first
    for i = 1, #takes, 2 do touch(sale, takes[i]) end
    serve_waiting(sale)
  end
  local units = units_of(lines)
  local no, sku, available = over_limit(sale, customer, units, hold, counts), short_line(sale, takes)
  while sku or no do
    if sale.looked_at >= EXPIRE_MOST then return {'overloaded'} end -- more may expire: sold-out could be wrong
    if not expire_page(sale) then
      if not no and sale.config.rules.pools and not pools.drawn_by(sale, sku) then
        return pools.short_of(sale, lines, sku)
      end
      return no or sold_out(sale, sku, available)
    end
    no, sku, available = over_limit(sale, customer, units, hold, counts), short_line(sale, takes)
  end
  return nil
end

-- cooling_down(sale, customer, counts): why this customer, or an identity of the hold, may hold nothing now, as a result; nil when
-- they may. counts: of counted_for.
local function cooling_down(sale, customer, counts)
  if not sale.config.rules.cool_down_ms then return nil end
  local holders = counts and counts.holders or NO_HOLDERS
  local function holds_any()
    for i = 1, #holders do
      if history_of(sale, holders[i].field).held > 0 then return true end
    end
    return history_of(sale, customer).held > 0
  end
  while holds_any() and expire_page(sale) do -- a hold of theirs past its end counts as well
    if sale.looked_at >= EXPIRE_MOST then return {'overloaded'} end
  end
  local until_ms, by = cooling_until(sale, customer, counts)
  return until_ms > NOW and {'cooling-down', until_ms - NOW, by} or nil
end
