-- The waiting list: entries that wait for units of an item, in order. Units that come back are theirs before open sale gets
-- them: whatever a request changes, serve_waiting runs before the next request is decided. Who is offered them: offers.lua.
--
--   line          zset   the queue: entries that wait, and items to serve later: see queue.lua
--   reservations  hash   waiting:<id>, waits:<customer>, waiting-place: see records.lua
--   item:<sku>           "stock held sold set_aside until_ms": units that are free and set aside for the list; until_ms is
--                        when they stop being set aside for an entry that wants more than are free (0: no such entry)
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

--@include lib/offers.lua

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
      for i = 1, #touched do
        shrink_aside(sale, touched[i])
        if waiting_count(sale) > 0 then later(sale, 0, touched[i]) end
      end
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
