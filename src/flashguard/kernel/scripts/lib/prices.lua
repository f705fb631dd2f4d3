-- The terms of an item: its price since that was changed, and whether it is on sale.
--
--   item:<sku>  "... price on_sale first": price is '-' where it was never changed, on_sale is 'on' or 'off', first is the price
--               before all changes
--
-- A reservation keeps the price of each item at the moment of its hold, as details.prices = {sku -> price}. It has none of an
-- item whose price had never changed by then: that is the item's first price. So a sale without changes keeps nothing.

local prices = {} -- the functions below

-- learn_prices(): makes them in calls that need any, so that others do not pay for them, and returns them.
local function learn_prices()
  if prices.of then return prices end

  -- off_sale(sale, lines): the result where units of an item that is off sale are asked for; or nil.
  function prices.off_sale(sale, lines)
    for i = 1, #lines, 2 do
      local item = item_of(sale, lines[i])
      if item and item.off and lines[i + 1] > 0 then return {'item-not-on-sale', lines[i]} end
    end
    return nil
  end

  -- with(sale, lines, details, before): the details of a reservation of these lines, with today's prices. before: of an
  -- amend, what the reservation was, {lines, prices}: its items keep their prices.
  function prices.with(sale, lines, details, before)
    local now, kept = {}, {}
    for i = 1, before and #before.lines or 0, 2 do kept[before.lines[i]] = true end
    for i = 1, #lines, 2 do
      local sku = lines[i]
      if kept[sku] then
        now[sku] = before.prices and before.prices[sku]
      else
        local item = item_of(sale, sku)
        now[sku] = item and item.price or nil
      end
    end
    if not next(now) then return details end
    details = details or {}
    details.prices = now
    return details
  end

  -- of(sale, record): the prices of a hold as an answer shows them, those of items whose price has changed; or nil.
  function prices.of(sale, record)
    local own, shown = record.kept and record.kept.prices or {}, {}
    for i = 1, #record.lines, 2 do
      local sku, item = record.lines[i], item_of(sale, record.lines[i])
      shown[sku] = own[sku] or item and item.price and item.first or nil
    end
    return next(shown) and shown or nil
  end

  return prices
end
