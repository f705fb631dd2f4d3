-- Pools: what several items draw from. A pool has counters as an item has, and is not for sale itself. An item's recipe says
-- what one unit of it takes from which pools, beside its own counters.
--
--   sale  hash  item:<pool>    -> "stock held sold"
--               recipe:<sku>   -> {pool, quantity, pool, quantity, ...}, empty for an item that draws from none; another of an
--                                 item with locations, see locations.lua
--               recipe:<pool>  -> 'pool'
--
-- Rule: pools, true for a sale that has any, or locations. Only such sales look for recipes, and there every counter has one.

local pools = {} -- the functions below

-- learn_pools(): makes them in calls about a sale with pools, so that others do not pay for them.
local function learn_pools()
  if pools.drawn_by then return end

--@include lib/locations.lua

  pools.counter_at = counter_at

  -- drawn_by(sale, sku): {pool, quantity, ...} of an item; nil for what is not an item.
  function pools.drawn_by(sale, sku)
    local recipe = sale.recipes[sku]
    if recipe == nil then
      local blob = redis.call('HGET', sale.key, 'recipe:' .. sku)
      recipe = blob and cmsgpack.unpack(blob)
      sale.recipes[sku] = recipe
    end
    return type(recipe) == 'table' and recipe or nil
  end

  -- prefetch(sale): reads the recipes of the items that have been read, and the counters of the pools and locations that they
  -- name.
  function pools.prefetch(sale)
    local names, fields, drawn, places = {}, {}, {}, sale.config.rules.locations
    for name in pairs(sale.items) do
      names[#names + 1], fields[#fields + 1] = name, 'recipe:' .. name
    end
    local values = hmget(sale.key, fields)
    sale.recipes = {}
    for i = 1, #names do
      sale.recipes[names[i]] = values[i] and cmsgpack.unpack(values[i])
      local recipe = pools.drawn_by(sale, names[i]) or {}
      for j = 1, #recipe, 2 do
        if sale.items[recipe[j]] == nil then
          drawn[#drawn + 1] = 'item:' .. recipe[j]
          sale.items[recipe[j]] = false
        end
      end
      for j = 1, recipe.at and #places or 0, 2 do drawn[#drawn + 1] = 'item:' .. counter_at(names[i], places[j]) end
    end
    values = hmget(sale.key, drawn)
    for i = 1, #drawn do
      if values[i] then sale.items[string.sub(drawn[i], 6)] = read_item(values[i]) end
    end
  end

  -- takes_of(sale, lines, details, before): what these lines move, each counter once: the items, and the pools and locations
  -- that they draw from; the lines themselves where none draws from any. The second result is the refusal of a line that is no
  -- item, or names no location. details and before: as in locations.choose.
  function pools.takes_of(sale, lines, details, before)
    local takes, at, drawn, located = {}, {}, false, details and details.pick_up
    local function add(counter, units)
      local place = at[counter] or #takes + 2
      at[counter] = place
      takes[place - 1], takes[place] = counter, (takes[place] or 0) + units
    end
    for i = 1, #lines, 2 do
      local recipe = pools.drawn_by(sale, lines[i])
      if not recipe then return nil, unknown_item(sale, lines[i]) end
      add(lines[i], lines[i + 1])
      for j = 1, #recipe, 2 do add(recipe[j], recipe[j + 1] * lines[i + 1]) end
      drawn, located = drawn or #recipe > 0, located or recipe.at
    end
    if located and not sale.config.rules.locations then return nil, {'unknown-location', details.pick_up[2]} end
    if not drawn and not located then return lines end
    return takes, located and locations.choose(sale, lines, details, before, add)
  end

  -- with_takes(sale, lines, details): the details of a reservation of these lines, with what they move where that is not the
  -- lines. The second result as above.
  function pools.with_takes(sale, lines, details)
    local takes, no = pools.takes_of(sale, lines, details)
    if takes == lines or no then return details, no end
    details = details or {}
    details.takes = takes
    return details
  end

  -- in_pools(sale, sku): how many units of an item its pools or locations have.
  function pools.in_pools(sale, sku)
    local recipe, units = pools.drawn_by(sale, sku) or {}, math.huge
    if recipe.at then return locations.free_of(sale, sku) end
    for i = 1, #recipe, 2 do
      local pool = item_of(sale, recipe[i])
      units = math.min(units, pool and math.floor(free_units(pool) / recipe[i + 1]) or 0)
    end
    return units
  end

  -- short_of(sale, lines, pool): the result where a pool, or a location, is short: it names the first line that draws from it.
  function pools.short_of(sale, lines, pool)
    if sale.recipes[pool] == 'location' then return sale.short_of or {'sold-out', lines[1], 0} end
    for i = 1, #lines, 2 do
      local sku, recipe = lines[i], pools.drawn_by(sale, lines[i]) or {}
      for j = 1, #recipe, 2 do
        if recipe[j] == pool then
          local item = item_of(sale, sku)
          local available = math.min(free_units(item) - (item.set_aside or 0), pools.in_pools(sale, sku))
          return {'sold-out', sku, available, pool}
        end
      end
    end
    return {'sold-out', pool, 0, pool}
  end
end
