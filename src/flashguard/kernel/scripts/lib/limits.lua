-- Limits by item and by identity: a card, an address. Their units are counted beside those of customers, in the same hash:
--
--   used  hash  <customer>\31<sku>    -> units of an item with a limit of its own
--               \31<by>\31<identity>  -> units of the items that a limit by identity counts
--
-- Rules: item_limits, {sku = most}, 0 where units are counted and not limited; limits, {{by, most, {sku, ...}}, ...}, where all
-- items count if no sku is named. A sale with neither does not look here.

local limits = {} -- the functions below

-- learn_limits(): makes them in calls about a sale with such limits, so that others do not pay for them, and returns them.
local function learn_limits()
  if limits.of then return limits end

  -- unknown(sale, details): the refusal of an identity that no limit of the sale is by; nil where each has one.
  function limits.unknown(sale, details)
    local unknown
    for name in pairs(details.identities) do
      local known = false
      for _, limit in ipairs(sale.config.rules.limits or {}) do known = known or limit[1] == name end
      if not known and not (unknown and unknown < name) then unknown = name end
    end
    return unknown and {'unknown-identity', unknown}
  end
  local skus_of = {} -- limit -> its skus as a set

  local function counted_units(limit, lines)
    if not limit[3] then return units_of(lines) end
    local skus, units = skus_of[limit] or {}, 0
    if not skus_of[limit] then
      for _, sku in ipairs(limit[3]) do skus[sku] = true end
      skus_of[limit] = skus
    end
    for i = 1, #lines, 2 do units = units + (skus[lines[i]] and lines[i + 1] or 0) end
    return units
  end

  -- of(sale, customer, lines, identities): what these lines count for, each field of `used` once: {{field =, units =, most =,
  -- sku = or by =}, ...}; the second result is the first identity that is needed and missing.
  function limits.of(sale, customer, lines, identities)
    local rules, counts, at, missing = sale.config.rules, {}, {}, nil
    local most_of = rules.item_limits or {}
    for i = 1, #lines, 2 do
      local sku, units = lines[i], lines[i + 1]
      local count = at[sku]
      if count then
        count.units = count.units + units
      elseif most_of[sku] then
        at[sku] = {field = customer .. '\31' .. sku, units = units, most = most_of[sku], sku = sku}
        counts[#counts + 1] = at[sku]
      end
    end
    for _, limit in ipairs(rules.limits or {}) do
      local by, units = limit[1], counted_units(limit, lines)
      local identity = identities and identities[by]
      if units ~= 0 and identity then
        counts[#counts + 1] = {field = '\31' .. by .. '\31' .. identity, units = units, most = limit[2], by = by}
      elseif units ~= 0 then
        missing = missing or by
      end
    end
    return counts, missing
  end

  -- difference(after, before): what counts more, or with a sign less, after a change.
  function limits.difference(after, before)
    local at = {}
    for i = 1, #after do at[after[i].field] = after[i] end
    for i = 1, #before do
      local count = at[before[i].field]
      if count then
        count.units = count.units - before[i].units
      else
        before[i].units = -before[i].units
        after[#after + 1] = before[i]
      end
    end
    return after
  end

  -- over(sale, counts): the refusal of the first limit that these units go beyond; nil where none does.
  function limits.over(sale, counts)
    for i = 1, #counts do
      local count = counts[i]
      if count.units > 0 and count.most > 0 and used_by(sale, count.field) + count.units > count.most then
        return {'limit-reached', count.most, used_by(sale, count.field), count.sku or '', count.by}
      end
    end
    return nil
  end

  function limits.count(sale, counts, sign)
    for i = 1, #counts do add_used(sale, counts[i].field, sign * counts[i].units) end
  end

  return limits
end

-- find_limits(sale): sets sale.limited if the sale has such limits.
local function find_limits(sale)
  local rules = sale.config.rules
  sale.limited = (rules.item_limits or rules.limits) and true
  if sale.limited then learn_limits() end
end

-- counted_for(sale, customer, lines, details): what these lines count for beside the customer's units in the sale, as
-- limits.of says, and the refusal where an identity is missing; nil in a sale without such limits. Its `holders` are the
-- identities for which a hold counts: see identity_holders.
local function counted_for(sale, customer, lines, details)
  if not sale.limited then return nil end
  local counts, missing = limits.of(sale, customer, lines, details and details.identities)
  if sale.history and sale.config.rules.holds_by then counts.holders = identity_holders(sale, details) end
  return counts, missing and {'identity-required', missing}
end

-- count_used(sale, customer, lines, details, sign): counts the units of these lines for all limits.
local function count_used(sale, customer, lines, details, sign)
  add_used(sale, customer, sign * units_of(lines))
  if sale.limited then limits.count(sale, counted_for(sale, customer, lines, details), sign) end
end
