-- The waiting list on a shard of a spread sale. An entry is on its customer's home shard, with its place in the order of the whole
-- sale: the time of joining by the shard's clock, and the shard's number. What comes back on any shard is set aside there until a
-- round of the recorder has seen it: serve_list.lua. The round knows who comes first on all shards, moves units to their home
-- shards, and has them offered.
--
--   item:<sku>  until_ms  the version: not 0 while entries may wait for it on any shard. It rises with each entry that joins and
--                         with each unit that comes back, so that a round undoes nothing that it has not seen.
--               set_aside all free units, or none: those that a round has seen and that no entry fits are for the open sale
--                         until the next unit comes back.
--   line  zset  w<sku>    the next round must see it
--
-- Pools are set aside like items.

  -- attend(sale, counter): has the next round see it.
  function shard_list.attend(sale, counter) redis.call('ZADD', sale.queue_key, 0, 'w' .. counter) end

  local function write_item(sale, counter, item, version, set_aside)
    item.until_ms, item.set_aside = version, set_aside
    sale.items_rewritten[counter] = item
  end

  -- close(sale, counter, version): sets all its units aside. version: at least the new one; 0 to change none.
  function shard_list.close(sale, counter, version)
    local item = item_of(sale, counter)
    if not item then return end
    local free = free_units(item)
    if version > 0 then version = math.max((item.until_ms or 0) + 1, version) end
    write_item(sale, counter, item, version > 0 and version or item.until_ms, free > 0 and free or nil)
    if free > 0 then shard_list.attend(sale, counter) end
  end

  -- set_aside(sale): what serve_waiting does on a shard.
  function shard_list.set_aside(sale)
    if status_now(sale.config) == 'open' and waiting_count(sale) > 0 then wake_due(sale) end
    local touched = sale.touched
    for i = 1, #touched do
      local item, gained = item_of(sale, touched[i]), touched[touched[i]]
      if item and item.until_ms then
        if gained > 0 then
          shard_list.close(sale, touched[i], 1)
        elseif item.set_aside and item.set_aside ~= free_units(item) then
          write_item(sale, touched[i], item, item.until_ms, free_units(item) > 0 and free_units(item) or nil)
        end
      end
    end
    sale.touched = {}
  end

  -- counters_of(sale, sku): the item and the pools that it draws from.
  local function counters_of(sale, sku)
    local counters, recipe = {sku}, sale.config.rules.pools and pools.drawn_by(sale, sku) or {}
    for i = 1, #recipe, 2 do counters[#counters + 1] = recipe[i] end
    return counters
  end

  -- mark(sale, sku, version): sets the units of an item aside for an entry that joined on another shard.
  function shard_list.mark(sale, sku, version)
    local counters = item_of(sale, sku) and counters_of(sale, sku) or {}
    for i = 1, #counters do shard_list.close(sale, counters[i], version) end
  end

  -- next_place(sale): the place of an entry that joins.
  function shard_list.next_place(sale, newest)
    return math.max(newest + 1000, NOW * 1000 + tonumber(string.match(sale.id, '~(%d+)$') or 0))
  end

  -- joined(sale, entry): has the next round see a new entry. Units are set aside unless it waits behind the waiting room.
  function shard_list.joined(sale, entry)
    if entry.admitted then shard_list.mark(sale, entry.sku, entry.place) end
    shard_list.attend(sale, entry.sku)
  end

  -- report(sale, after, most): {group, counter, version, ...} of what the round must see, by name. Items that draw from pools are
  -- one group, named ''; another item is its own.
  function shard_list.report(sale, after, most)
    local found, rows = redis.call('ZRANGEBYLEX', sale.queue_key, after and '(w' .. after or '[w', '(x', 'LIMIT', 0, most), {}
    for i = 1, #found do
      local counter = string.sub(found[i], 2)
      local item = item_of(sale, counter)
      rows[#rows + 1] = item and draws(sale, counter) and '' or counter
      rows[#rows + 1] = counter
      rows[#rows + 1] = item and item.until_ms or 0
    end
    return rows
  end

  -- before(sale, sku, place): how many entries wait for this item before this place.
  function shard_list.before(sale, sku, place)
    return redis.call('ZLEXCOUNT', sale.queue_key, '[p' .. sku .. '\0', '(' .. place_member(sku, place, ''))
  end

  function shard_list.offer_ms(sale) return offer_ms(sale) end

  -- waiting_for(sale, group): whether entries wait, also those that sleep.
  local function waiting_for(sale, group)
    if group == '' then return waiting_count(sale) > 0 end
    return redis.call('ZLEXCOUNT', sale.queue_key, '[p' .. group .. '\0', '(p' .. group .. '\1') > 0
  end

  -- entries_of(sale, group, unadmitted, most): whether entries wait; {place, id, sku, quantity, takes, ...} of about `most` that
  -- can be served, the same number of each quantity; up to which place these are all, 0 without end. unadmitted: also those whose
  -- customer the waiting room did not admit.
  function shard_list.entries_of(sale, group, unadmitted, most)
    local skus = group == '' and drawing_items(sale) or {group}
    local lists, rows, whole = {}, {}, 0
    for i = 1, #skus do
      local item = item_of(sale, skus[i])
      for _, kind in ipairs(item and not item.off and {'q', 'r'} or {}) do
        local heads = kind == 'r' and sale.config.rules.room and not unadmitted and {} or heads_of(sale, kind, skus[i])
        for j = 1, #heads do lists[#lists + 1] = {kind = kind, sku = skus[i], quantity = heads[j].quantity} end
      end
    end
    most = math.ceil(most / math.max(1, #lists))
    for i = 1, #lists do
      local list = lists[i]
      local start, takes = list.kind .. list.sku .. '\0' .. string.format('%09.0f', list.quantity), false
      if group == '' then takes = pools.takes_of(sale, {list.sku, list.quantity}) or false end
      local found = redis.call('ZRANGEBYLEX', sale.queue_key, '[' .. start .. '\0', '(' .. start .. '\1', 'LIMIT', 0, most)
      for j = 1, #found do
        local place, id = string.match(found[j], '^(%d+)%z(.*)$', #start + 2)
        place = tonumber(place)
        for _, value in ipairs({place, id, list.sku, list.quantity, takes}) do rows[#rows + 1] = value end
        if j == most then whole = whole > 0 and math.min(whole, place) or place end
      end
    end
    return waiting_for(sale, group), rows, whole
  end

  -- closed(sale, counters): {counter, free, unsold, version, ...}.
  function shard_list.closed(sale, counters)
    local rows = {}
    for i = 1, #counters do
      local item = item_of(sale, counters[i])
      if item then
        for _, value in ipairs({counters[i], free_units(item), item.stock - item.sold, item.until_ms or 0}) do rows[#rows + 1] = value end
      end
    end
    return rows
  end

  -- serve(sale, ids, unadmitted): offers these entries their units, as far as there are enough here; returns how many were served,
  -- ended or put to sleep.
  function shard_list.serve(sale, ids, unadmitted)
    local served = 0
    for i = 1, #ids do
      local entry = record_of(sale, 'waiting:' .. ids[i])
      local item = entry and entry.state == 'waiting' and item_of(sale, entry.sku)
      local waits = item and record_of(sale, 'waits:' .. entry.customer)
      local may = waits and not waits.sleeps_until_ms and not item.off
        and (entry.admitted or unadmitted or not sale.config.rules.room)
      if may and (entry.quantity <= free_of(sale, entry.sku) or put_off(sale, ids[i], entry)) then
        if not serve_one(sale, {id = ids[i]}, entry) then break end
        served = served + 1
      end
    end
    return served
  end

  -- settle(sale, versions, forget): leaves the units of these counters, {counter, version, ...}, to the open sale, if nothing has
  -- changed since; forget: no entry waits on any shard.
  function shard_list.settle(sale, versions, forget)
    for i = 1, #versions, 2 do
      local counter, item = versions[i], item_of(sale, versions[i])
      if not item then
        redis.call('ZREM', sale.queue_key, 'w' .. counter)
      elseif (item.until_ms or 0) == versions[i + 1] then
        write_item(sale, counter, item, not forget and item.until_ms or nil, nil)
        if #heads_of(sale, 'r', counter) == 0 then redis.call('ZREM', sale.queue_key, 'w' .. counter) end
      end
    end
  end
