-- Offers: who of the waiting list gets the free units of an item, and what is set aside for the others. See waiting.lua.
--
-- The rule, for the free units of an item, from the lowest place on:
--   1. An entry that wants more than are unsold (stock - sold) is passed over; it keeps its place.
--   2. An entry meets the checks of a reserve, after holds past their end have expired. Where its customer's orders alone
--      reach the limit it ends, limit-reached. For the limit, the hold budget and the cool-down it sleeps: until the
--      customer's holds change, the cool-down is over, or the time of one offer has passed. Where a reservation has its id it
--      ends, too.
--   3. An entry that wants no more than are free is offered them: an ordinary hold under the entry's own id.
--   4. For an entry that wants more, free units are set aside, for the time of one offer and no longer. After that they go to
--      entries that want no more than are free, then to open sale, until none is free.
--   5. An entry whose customer the sale's waiting room did not admit is offered units by `expire` alone, only while the room
--      is empty, and only units that came back while none was free. Nothing is set aside for it.
--
-- Items that draw from pools share what is free, so their entries share one order: of those that want no more than is free,
-- the one with the lowest place is offered its units. Nothing is set aside for an entry that wants more. The same goes for items
-- with locations.
--
-- An item that is off sale is passed over: its entries keep their places until it is on sale again.
--
-- One call serves, ends or puts to sleep at most SERVE_MOST entries. What is left is set aside, and the item is due again:
-- the recorder serves the rest by `expire`. Of the quantities that entries for one item want, the SIZES_MOST smallest are
-- considered; of the items that draw from pools and have entries, the first DRAWING_MOST.

  local function offer_ms(sale) return sale.config.rules.waiting_hold_ms or sale.config.hold_ms end

  -- offer(sale, id, entry): holds its units: an ordinary hold, under the entry's own id.
  local function offer(sale, id, entry)
    local lines, details = {entry.sku, entry.quantity}, entry.identities and {identities = entry.identities}
    if sale.config.rules.pools then details = pools.with_takes(sale, lines, details) end
    if terms_seen then details = learn_prices().with(sale, lines, details) end
    hold_units(sale, id, entry.fingerprint, entry.customer, lines, offer_ms(sale), details)
    end_waiting(sale, id, entry, 'offered')
  end

  -- put_off(sale, id, entry): until when the entry can't be offered its units; the state it ends in where it never can be;
  -- nil when it can be now.
  local function put_off(sale, id, entry)
    local config, customer, quantity = sale.config, entry.customer, entry.quantity
    if config.limit > 0 and used_by(sale, customer) - history_of(sale, customer).held + quantity > config.limit then
      return 'limit-reached'
    end
    if record_of(sale, id) then return 'ended' end -- a reservation has this id
    local counts = counted_for(sale, customer, {entry.sku, quantity}, entry)
    if over_limit(sale, customer, quantity, true, counts) then return NOW + offer_ms(sale) end
    local until_ms = cooling_until(sale, customer, counts)
    return until_ms > NOW and until_ms or nil
  end

  -- serve_one(sale, head, entry): the next entry is offered its units, ends, or sleeps. False when that must wait for the next
  -- `expire`.
  local function serve_one(sale, head, entry)
    if serves_left <= 0 then return false end
    local off = put_off(sale, head.id, entry)
    if off and not sale.drained then return false end -- a hold of the customer may be past its end
    serves_left = serves_left - 1
    if type(off) == 'string' then
      end_waiting(sale, head.id, entry, off)
    elseif off then
      sleep(sale, head.id, entry, off)
    else
      offer(sale, head.id, entry)
    end
    return true
  end

  -- entry_of(sale, kind, sku, head): the entry of a member; nil where it has none: the member is removed, as it must not stop
  -- the others.
  local function entry_of(sale, kind, sku, head)
    local entry = record_of(sale, 'waiting:' .. head.id)
    if entry and entry.state == 'waiting' then return entry end
    redis.call('ZREM', sale.queue_key, size_member(sku, entry_text(head.quantity, head.place, head.id), kind == 'q'),
      place_member(sku, head.place, head.id))
    sale.heads[kind .. sku], sale.waiting = nil, nil
    return nil
  end

  local function keep_aside(sale, sku, item, set_aside, until_ms)
    if item.set_aside == set_aside and item.until_ms == until_ms then return end
    if item.until_ms and item.until_ms ~= until_ms then
      redis.call('ZREM', sale.queue_key, due_member(item.until_ms, sku))
    end
    item.set_aside, item.until_ms = set_aside, until_ms
    sale.items_rewritten[sku] = item
  end

  -- shrink_aside(sale, sku): sets no more aside than is free: units may leave the stock while no entry can be served.
  local function shrink_aside(sale, sku)
    local item = item_of(sale, sku)
    local free = item and free_units(item) or 0
    if not item or not item.set_aside or item.set_aside <= free then return end
    if free > 0 then keep_aside(sale, sku, item, free, item.until_ms) else keep_aside(sale, sku, item, nil, nil) end
  end

  -- next_head(sale, sku, most): the head to serve next of those that want no more than these units, and its kind; or nil.
  local function next_head(sale, sku, most)
    local head, kind = first_within(heads_of(sale, 'q', sku), most), 'q'
    if not sale.config.rules.room then -- in a sale without a room all entries are alike
      local other = first_within(heads_of(sale, 'r', sku), most)
      if other and (not head or other.place < head.place) then head, kind = other, 'r' end
    end
    return head, kind
  end

  -- draws(sale, name): whether this is an item that draws from pools or locations, or one of these.
  local function draws(sale, name)
    if not sale.config.rules.pools then return false end
    local recipe = pools.drawn_by(sale, name)
    return not recipe or recipe.at or #recipe > 0
  end

  -- serve(sale, sku): gives an item's free units to the entries that wait for it.
  local function serve(sale, sku)
    local item = item_of(sale, sku)
    if not item or item.off or draws(sale, sku) or (not item.set_aside and not item.until_ms and waiting_count(sale) == 0) then return end
    local room, set_aside, until_ms = sale.config.rules.room, nil, item.until_ms
    local free = free_units(item)
    while free > 0 and waiting_count(sale) > 0 do
      local passing = until_ms and NOW >= until_ms
      local most = passing and free or item.stock - item.sold
      local head, kind = next_head(sale, sku, most)
      if not head then break end
      local entry = entry_of(sale, kind, sku, head)
      if entry and entry.quantity > free and not put_off(sale, head.id, entry) then
        if not until_ms then
          until_ms = NOW + offer_ms(sale)
          later(sale, until_ms, sku)
        end
        set_aside = free
        break
      elseif entry and not serve_one(sale, head, entry) then
        later(sale, NOW, sku)
        set_aside, sale.behind = free, true
        break
      end
      free = free_units(item)
    end
    if free == 0 then until_ms = nil end
    keep_aside(sale, sku, item, set_aside, until_ms)
    if room and free > 0 and not set_aside and not until_ms and #heads_of(sale, 'r', sku) > 0 then
      redis.call('ZADD', sale.queue_key, 0, 'e' .. sku)
    end
  end

  -- drawing_items(sale): the items that draw from pools and have entries that wait.
  local function drawing_items(sale)
    local skus, from, looked_at = {}, '[p', 0
    while looked_at < DRAWING_MOST do
      local member = redis.call('ZRANGEBYLEX', sale.queue_key, from, '(q', 'LIMIT', 0, 1)[1]
      if not member then break end
      local sku = string.match(member, '^p([^%z]*)%z')
      local item = item_of(sale, sku)
      if item and not item.off and pools.drawn_by(sale, sku) and draws(sale, sku) then skus[#skus + 1] = sku end
      from, looked_at = '[p' .. sku .. '\1', looked_at + 1
    end
    return skus
  end

  -- serve_drawing(sale): gives what is free of items that draw from pools to the entries that wait for them.
  local function serve_drawing(sale)
    local skus = drawing_items(sale)
    while true do
      local first, kind, sku
      for i = 1, #skus do
        local head, of = next_head(sale, skus[i], free_of(sale, skus[i]))
        if head and (not first or head.place < first.place) then first, kind, sku = head, of, skus[i] end
      end
      if not first then break end
      local entry = entry_of(sale, kind, sku, first)
      if entry and not serve_one(sale, first, entry) then
        later(sale, NOW, sku)
        sale.behind = true
        break
      end
    end
    for i = 1, sale.config.rules.room and #skus or 0 do
      local item, free = item_of(sale, skus[i]), free_of(sale, skus[i])
      if free == 0 then
        keep_aside(sale, skus[i], item, nil, nil)
      elseif not item.until_ms and #heads_of(sale, 'r', skus[i]) > 0 then
        redis.call('ZADD', sale.queue_key, 0, 'e' .. skus[i])
      end
    end
  end

  -- serve_unadmitted(sale, sku): gives units that no admitted buyer wants to the other entries, while the room is empty.
  local function serve_unadmitted(sale, sku)
    local item = item_of(sale, sku)
    redis.call('ZREM', sale.queue_key, 'e' .. sku)
    if not item or item.off or item.set_aside or item.until_ms then return end
    local free = free_of(sale, sku)
    while free > 0 do
      local head = first_within(heads_of(sale, 'r', sku), free)
      if not head then break end
      local entry = entry_of(sale, 'r', sku, head)
      if entry and not serve_one(sale, head, entry) then
        redis.call('ZADD', sale.queue_key, 0, 'e' .. sku)
        sale.behind = true
        return
      end
      free = free_of(sale, sku)
    end
    if free > 0 and #heads_of(sale, 'r', sku) > 0 then keep_aside(sale, sku, item, nil, NOW) end
  end
