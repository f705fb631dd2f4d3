-- Limits of a sale's items, as change_sale and change_item change them: the rule item_limits, see limits.lua.

-- with_rules(rules, changes): a copy of a sale's optional rules with these changes; false removes one.
local function with_rules(rules, changes)
  local after = {}
  for name, value in pairs(rules) do after[name] = value end
  for name, value in pairs(changes) do after[name] = value or nil end
  return after
end

-- item_limits_after(sale, changes): the rule with these changes, {sku = most, ...}, false for none. Where a limit ends, its units
-- go on to be counted, so that it can begin again.
local function item_limits_after(sale, changes)
  local after = {}
  for sku, most in pairs(sale.config.rules.item_limits or {}) do after[sku] = most end
  for sku, most in pairs(changes) do after[sku] = most or after[sku] and 0 or nil end
  return next(after) and after or false
end

-- begins_late(sale, sku, most): whether a limit would begin while units of the item are held or sold that no one counted.
local function begins_late(sale, sku, most)
  local known, item = (sale.config.rules.item_limits or {})[sku], item_of(sale, sku)
  return most and not known and (sale.config.rules.spread or item and item.held + item.sold > 0)
end
