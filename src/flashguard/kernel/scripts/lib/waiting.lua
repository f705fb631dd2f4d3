-- The waiting list: entries that wait for units of an item, in order. Units that come back are theirs before open sale gets
-- them: whatever a request changes, serve_waiting runs before the next request is decided.
--
--   line          zset   the queue: entries that wait, and items to serve later: see queue.lua
--   reservations  hash   waiting:<id>, waits:<customer>, waiting-place: see records.lua
--   item:<sku>           "stock held sold set_aside until_ms": units that are free and set aside for the list; until_ms is
--                        when they stop being set aside for an entry that wants more than are free (0: no such entry)
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
--
-- In a spread sale an entry is on its customer's home shard, and no shard knows who comes first: see shard_list.lua.
--
-- State: waiting, then offered, left, limit-reached, or ended (it can't be offered). Rules: waiting_most, the most entries
-- that wait; waiting_hold_ms, how long an offer lasts.

local SERVE_MOST = 50
local serves_left = SERVE_MOST -- by this call; expire divides them among its sales

local waiting_count, ahead_of, begin_waiting, end_waiting, free_of
local shard_list = {} -- what shards of spread sales do: see shard_list.lua

-- learn_waiting(): makes the functions below in calls about a sale with a list, so that others do not pay for them.
function learn_waiting()
  if waiting_count then return end
  local SIZES_MOST, DRAWING_MOST = 100, 50

--@include lib/queue.lua

  -- touch(sale, sku, gained): marks an item, to be served once the request is decided. gained: how many of its units came back.
  function touch(sale, sku, gained)
    local touched = sale.touched
    if not touched[sku] then touched[#touched + 1], touched[sku] = sku, 0 end
    touched[sku] = touched[sku] + (gained or 0)
  end

  -- waiting_count(sale): the number of entries that wait, for any item.
  function waiting_count(sale)
    if not sale.waiting then sale.waiting = redis.call('ZLEXCOUNT', sale.queue_key, '[p', '(q') end
    return sale.waiting
  end

  -- free_of(sale, sku): how many units of an item no hold and no order has, including those set aside.
  function free_of(sale, sku)
    local free = free_units(item_of(sale, sku))
    return sale.config.rules.pools and math.min(free, pools.in_pools(sale, sku)) or free
  end

  -- ahead_of(sale, id, entry): the number of entries that wait for the same item before this one.
  function ahead_of(sale, id, entry)
    local sku = entry.sku
    return redis.call('ZLEXCOUNT', sale.queue_key, '[p' .. sku .. '\0', '(' .. place_member(sku, entry.place, id))
  end

  -- first_of(sale, kind, sku, quantity): the first entry of the least quantity from this one on: quantity, place, id; or nil.
  local function first_of(sale, kind, sku, quantity)
    local head, least = kind .. sku .. '\0', string.format('%09.0f', quantity)
    local from, to = '[' .. head .. least, '(' .. kind .. sku .. '\1'
    local member = redis.call('ZRANGEBYLEX', sale.queue_key, from, to, 'LIMIT', 0, 1)[1]
    if not member then return nil end
    local wanted_units, place, id = string.match(member, '^(%d+)%z(%d+)%z(.*)$', #head + 1)
    return {quantity = tonumber(wanted_units), place = tonumber(place), id = id}
  end

  -- heads_of(sale, kind, sku): the first entry of each quantity, the smallest quantity first.
  local function heads_of(sale, kind, sku)
    local heads = sale.heads[kind .. sku]
    if heads then return heads end
    heads = {}
    local head = first_of(sale, kind, sku, 0)
    while head and #heads < SIZES_MOST do
      heads[#heads + 1] = head
      head = first_of(sale, kind, sku, head.quantity + 1)
    end
    sale.heads[kind .. sku] = heads
    return heads
  end

  -- first_within(heads, units): the head with the lowest place of those that want no more than these units; or nil.
  local function first_within(heads, units)
    local first
    for i = 1, #heads do
      if heads[i].quantity > units then break end
      if not first or heads[i].place < first.place then first = heads[i] end
    end
    return first
  end

  local function entry_end(id, entry) return entry_text(entry.quantity, entry.place, id) end

  local function kind_of(entry) return entry.admitted and 'q' or 'r' end

  local function add_size(sale, id, entry)
    sale.heads[kind_of(entry) .. entry.sku] = nil
    redis.call('ZADD', sale.queue_key, 0, size_member(entry.sku, entry_end(id, entry), entry.admitted))
  end

  -- remove_size(sale, id, entry): keeps the known heads right, so that serving a long queue reads one of them again.
  local function remove_size(sale, id, entry)
    local kind, sku = kind_of(entry), entry.sku
    redis.call('ZREM', sale.queue_key, size_member(sku, entry_end(id, entry), entry.admitted))
    local heads = sale.heads[kind .. sku]
    for i = 1, heads and #heads or 0 do
      if heads[i].id == id then
        local next_one = first_of(sale, kind, sku, entry.quantity)
        if next_one and next_one.quantity == entry.quantity then heads[i] = next_one else sale.heads[kind .. sku] = nil end
        return
      end
    end
  end

  local function later(sale, due_ms, rest)
    redis.call('ZADD', sale.queue_key, 0, due_member(due_ms, rest))
  end

  -- begin_waiting(sale, id, entry): adds an entry to the list.
  function begin_waiting(sale, id, entry)
    sale.waiting = waiting_count(sale) + 1
    put_record(sale, 'waits:' .. entry.customer, {kind = 'waits', id = id})
    put_record(sale, 'waiting:' .. id, entry)
    redis.call('ZADD', sale.queue_key, 0, place_member(entry.sku, entry.place, id))
    add_size(sale, id, entry)
    note(pack({'join', sale.id, id, {entry.sku, entry.quantity}, NOW, entry.fingerprint, entry.customer,
      entry.place, entry.admitted, entry.identities}))
  end

  -- end_waiting(sale, id, entry, state): removes an entry from the list.
  function end_waiting(sale, id, entry, state)
    local sku, quantity, place, customer = entry.sku, entry.quantity, entry.place, entry.customer
    local waits = record_of(sale, 'waits:' .. customer)
    sale.waiting = waiting_count(sale) - 1
    redis.call('ZREM', sale.queue_key, place_member(sku, place, id))
    if waits and waits.sleeps_until_ms then
      redis.call('ZREM', sale.queue_key, due_member(waits.sleeps_until_ms, sku .. '\0' .. entry_end(id, entry)))
    else
      remove_size(sale, id, entry)
    end
    write_blobs(sale)
    redis.call('HDEL', sale.reservations_key, 'waits:' .. customer)
    sale.records['waits:' .. customer] = false
    put_record(sale, 'waiting:' .. id, {kind = 'waiting', fingerprint = entry.fingerprint, state = state,
      created_ms = entry.created_ms, place = place, seq = SEQ + 1, customer = customer, sku = sku, quantity = quantity,
      admitted = entry.admitted, identities = entry.identities})
    note(pack({'leave', sale.id, id, {sku, quantity}, NOW, state}))
  end

  local function sleep(sale, id, entry, until_ms)
    remove_size(sale, id, entry)
    later(sale, until_ms, entry.sku .. '\0' .. entry_end(id, entry))
    put_record(sale, 'waits:' .. entry.customer, {kind = 'waits', id = id, sleeps_until_ms = until_ms})
  end

  -- wake(sale, customer): ends the sleep of this customer's entry: the reason may be over.
  function wake(sale, customer)
    local waits = record_of(sale, 'waits:' .. customer)
    if not waits or not waits.sleeps_until_ms then return end
    local id = waits.id
    local entry = record_of(sale, 'waiting:' .. id)
    redis.call('ZREM', sale.queue_key, due_member(waits.sleeps_until_ms, entry.sku .. '\0' .. entry_end(id, entry)))
    put_record(sale, 'waits:' .. customer, {kind = 'waits', id = id})
    add_size(sale, id, entry)
    touch(sale, entry.sku)
    if sale.config.rules.spread then shard_list.attend(sale, entry.sku) end
  end

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

  -- wake_due(sale): marks items and wakes entries that are due, a bounded number by one call.
  local function wake_due(sale)
    if sale.due_woken then return end
    sale.due_woken = true
    local due = redis.call('ZRANGEBYLEX', sale.queue_key, '[d', '(' .. due_member(NOW + 1, ''), 'LIMIT', 0, SERVE_MOST)
    if #due == SERVE_MOST then sale.behind = true end
    for i = 1, #due do
      redis.call('ZREM', sale.queue_key, due[i])
      local sku, rest = string.match(due[i], '^d%d+%z([^%z]*)(.*)$')
      local id = string.match(rest, '^%z%d+%z%d+%z(.*)$')
      local entry = id and record_of(sale, 'waiting:' .. id)
      if entry and entry.state == 'waiting' then wake(sale, entry.customer) end
      touch(sale, sku)
      if sale.config.rules.spread then shard_list.attend(sale, sku) end
    end
  end

--@include lib/shard_list.lua

  -- serve_waiting(sale, room_is_empty): serves the items that the last request touched.
  -- room_is_empty: nil except in `expire`, which also serves what is due, whatever was touched.
  function serve_waiting(sale, room_is_empty)
    local touched = sale.touched
    if not touched or sale.serving or (#touched == 0 and room_is_empty == nil) then return end
    if sale.config.rules.spread then return shard_list.set_aside(sale) end
    if status_now(sale.config) ~= 'open' then
      for i = 1, waiting_count(sale) > 0 and #touched or 0 do later(sale, 0, touched[i]) end
      sale.touched = {}
      return
    end
    sale.serving = true
    if waiting_count(sale) > 0 then
      expire_page(sale)
      wake_due(sale)
    end
    local at = 1
    while touched[at] do
      serve(sale, touched[at])
      at = at + 1
      if not touched[at] and sale.config.rules.pools and waiting_count(sale) > 0 then serve_drawing(sale) end
    end
    if room_is_empty then
      local skus = redis.call('ZRANGEBYLEX', sale.queue_key, '[e', '(f', 'LIMIT', 0, SERVE_MOST)
      if #skus == SERVE_MOST then sale.behind = true end
      for i = 1, #skus do serve_unadmitted(sale, string.sub(skus[i], 2)) end
    end
    sale.touched, sale.serving = {}, nil
  end
end
