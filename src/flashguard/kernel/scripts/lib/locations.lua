-- Locations: where the units of an item are. Such an item has a counter at each of the sale's locations, beside its own, which
-- has no bound.
--
--   sale  hash  item:<sku>\31<location>    -> "stock held sold"
--               recipe:<sku>               -> {at = true}
--               recipe:<sku>\31<location>  -> 'location'
--
-- Rules: locations, {id, name, id, name, ...} in order of preference; split, true where a basket may be taken from several. Such
-- a sale has the rule pools too: see pools.lua.
--
-- The rule, for the units that a basket takes:
--   1. Holds past their end expire and the waiting list is served before, so that neither decides where others take theirs.
--   2. Units that the reservation has stay where they are, as far as the basket still wants them there. A late confirm takes
--      its units where the hold had them, if all of them are available.
--   3. A line that names its location is taken there.
--   4. The other lines are taken together, from the first location that has all of them.
--   5. Where none has, and the sale says split, each line is taken from the locations in order, as far as they have it.

  local locations = {} -- the functions below

  local function counter_at(sku, location) return sku .. '\31' .. location end

  local function by_name(flat)
    local values = {}
    for i = 1, flat and #flat or 0, 2 do values[flat[i]] = flat[i + 1] end
    return values
  end

  -- settle(sale, lines): step 1 of the rule.
  local function settle(sale, lines)
    if sale.serving then return end
    while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end
    if sale.touched then
      for i = 1, #lines, 2 do touch(sale, lines[i]) end
      serve_waiting(sale)
    end
  end

  -- lost_counter(sale, sku): the refusal where memory has no counter of the item at one of the locations; nil where it has all.
  local function lost_counter(sale, sku)
    local places = sale.config.rules.locations
    for j = 1, #places, 2 do
      local counter = counter_at(sku, places[j])
      if not item_of(sale, counter) then return unknown_item(sale, counter) end
    end
    return nil
  end

  -- free_of(sale, sku): how many units of an item one line can have without naming a location.
  function locations.free_of(sale, sku)
    local places, sum, most = sale.config.rules.locations, 0, 0
    for j = 1, #places, 2 do
      local counter = item_of(sale, counter_at(sku, places[j]))
      local free = counter and free_units(counter) or 0
      sum, most = sum + free, math.max(most, free)
    end
    return sale.config.rules.split and sum or most
  end

  -- basket_of(sale, add): what has been taken so far, with add(counter, units) told of it. Where more is taken than is free,
  -- sale.short_of becomes the refusal of the first such item. too_few: the units at all locations, where they are too few.
  local function basket_of(sale, add)
    local basket, taken = {}, {}
    function basket.free(sku, place)
      local counter = counter_at(sku, place)
      return math.max(0, free_units(item_of(sale, counter)) - (taken[counter] or 0))
    end
    function basket.take(sku, place, units, too_few)
      if units <= 0 then return end
      local counter, free = counter_at(sku, place), basket.free(sku, place)
      if too_few or units > free then sale.short_of = sale.short_of or {'sold-out', sku, too_few or free} end
      taken[counter] = (taken[counter] or 0) + units
      add(counter, units)
    end
    return basket
  end

  -- fits(basket, lines, place): how much of these flat lines the location has, one after the other, and the units of the first
  -- item that it has not.
  local function fits(basket, lines, place)
    local wanted = {}
    for i = 1, #lines, 2 do
      local sku, free = lines[i], basket.free(lines[i], place)
      wanted[sku] = (wanted[sku] or 0) + lines[i + 1]
      if free < wanted[sku] then return i - 1, free end
    end
    return #lines, 0
  end

  -- take_together(basket, lines, places, split): steps 4 and 5. Where it can't be, it takes more than is free: where the lines
  -- fit best.
  local function take_together(basket, lines, places, split)
    local best, fitting, most = nil, -1, -1
    for j = 1, #places, 2 do
      local count, free = fits(basket, lines, places[j])
      if count > fitting or count == fitting and free > most then best, fitting, most = places[j], count, free end
      if count == #lines then break end
    end
    for i = 1, #lines, 2 do
      local sku, left, found = lines[i], lines[i + 1], nil
      if split and fitting < #lines then
        found = 0
        for j = 1, #places, 2 do
          local units = math.min(left, basket.free(sku, places[j]))
          basket.take(sku, places[j], units)
          left, found = left - units, found + units
        end
      end
      basket.take(sku, best, left, found)
    end
  end

  -- has_all(sale, takes): whether these units are available.
  local function has_all(sale, takes)
    for i = 1, #takes, 2 do
      local counter = item_of(sale, takes[i])
      if not counter or free_units(counter) < takes[i + 1] then return false end
    end
    return true
  end

  -- choose(sale, lines, details, before, add): calls add(counter, units) for what the lines take at locations, and returns nil;
  -- or the refusal where a line names no location of the sale. Of what is not available it takes more than there is, so that
  -- shortage refuses it, as sale.short_of says.
  --   details  pick_up: {sku, location, ...} of the lines that name one; takes: of a late confirm, what the hold had
  --   before   what the reservation takes until now, or nil
  function locations.choose(sale, lines, details, before, add)
    settle(sale, lines)
    sale.short_of = nil
    local places, basket, rest = sale.config.rules.locations, basket_of(sale, add), {}
    local known, named, again = by_name(places), by_name(details and details.pick_up), details and details.takes
    local had = by_name(before or again and has_all(sale, again) and again)

    for i = 1, #lines, 2 do
      local sku, left, named_place = lines[i], lines[i + 1], named[lines[i]]
      local is_located = pools.drawn_by(sale, sku).at
      if named_place and not (is_located and known[named_place]) then return {'unknown-location', named_place} end
      local lost = is_located and lost_counter(sale, sku)
      if lost then return lost end
      for j = 1, is_located and #places or 0, 2 do
        local counter = counter_at(sku, places[j])
        local units = (named_place or places[j]) == places[j] and math.min(left, had[counter] or 0) or 0
        if units > 0 then
          had[counter], left = had[counter] - units, left - units
          if before then add(counter, units) else basket.take(sku, places[j], units) end
        end
      end
      if named_place then
        basket.take(sku, named_place, left)
      elseif is_located and left > 0 then
        rest[#rest + 1], rest[#rest + 2] = sku, left
      end
    end
    if #rest > 0 then take_together(basket, rest, places, sale.config.rules.split) end
    return nil
  end
