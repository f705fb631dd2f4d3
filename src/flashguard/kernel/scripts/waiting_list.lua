#!lua
-- waiting_list: adds entries to the waiting list of a sale, removes them, and returns their places.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, 'join', id, fingerprint, customer, sku, quantity, admission, details},
--           {sale index, 'leave' | 'see', id}, ...}
--           admission: as of reserve_stock, 0 without one; details: {identities =} where there are any; to a shard of a spread sale with {spread =, elsewhere =}: the number of its shards, and how
--           many entries wait on the others
-- results   {state, changed nothing, customer, sku, quantity, created_ms, place, seq}: the entry as it is now; place
--           counts the entries served before it and itself, 0 when it does not wait. A joining entry whose units are free
--           is offered them at once. Of a shard: place counts the entries of this shard alone, and two more: the place in the
--           order of the whole sale, and whether units are set aside for it; there a round serves it, see serve_list.lua
--           {'spread', number of the sale's shards}: the request was routed by another number
--           {'sale-not-open', status, starts_ms} {'unknown-sale'} {'unknown-item', sku} {'unknown-entry'} {'recovering'}
--           {'idempotency-mismatch'} {'no-waiting-list'} {'waiting-list-full', most} {'already-waiting', id}
--           {'limit-reached', limit, used, sku, by} {'hold-budget-reached', most, held, by} {'cooling-down', wait_ms, by}
--           {'identity-required', by} {'unknown-identity', by}
--           {'queue-required'} {'overloaded'} {'item-not-on-sale', sku}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/availability.lua
--@include lib/batch.lua

learn_waiting()

local function seen(sale, id, as_it_was)
  local entry = record_of(sale, 'waiting:' .. id)
  local state, place = entry.state, 0
  if state == 'waiting' and status_now(sale.config) == 'closed' then state = 'ended' end
  if state == 'waiting' then place = ahead_of(sale, id, entry) + 1 end
  local result = {state, as_it_was, entry.customer, entry.sku, entry.quantity, entry.created_ms, place, unrecorded(entry)}
  if sale.config.rules.spread then result[9], result[10] = entry.place, entry.admitted end
  return result
end

local function is_admitted(room, admission)
  local until_ms, host = admission or 0, nil
  if type(until_ms) == 'table' then until_ms, host = unpack(until_ms) end
  return host == room.of and NOW < until_ms
end

local function join(sale, id, fingerprint, customer, sku, quantity, admission, details)
  local config, rules, elsewhere = sale.config, sale.config.rules, details and details.elsewhere or 0
  if rules.spread ~= (details and details.spread) then return {'spread', rules.spread or 1} end
  local entry = record_of(sale, 'waiting:' .. id)
  if entry then
    if entry.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end
    return seen(sale, id, true)
  end
  local status = status_now(config)
  if status ~= 'open' and status ~= 'paused' then return {'sale-not-open', status, config.starts_ms} end
  if (rules.waiting_most or 0) == 0 then return {'no-waiting-list'} end
  if record_of(sale, id) then return {'idempotency-mismatch'} end
  if not item_of(sale, sku) or (rules.pools and not pools.drawn_by(sale, sku)) then return unknown_item(sale, sku) end
  if item_of(sale, sku).off then return {'item-not-on-sale', sku} end
  local admitted = not rules.room or is_admitted(rules.room, admission)
  if not admitted and free_of(sale, sku) - (item_of(sale, sku).set_aside or 0) >= 1 then
    return {'queue-required'} -- the free units are for buyers whom the room admits
  end
  local counts, no = counted_for(sale, customer, {sku, quantity}, details)
  no = no or details and details.identities and learn_limits().unknown(sale, details) or cooling_down(sale, customer, counts)
  if no then return no end
  no = over_limit(sale, customer, quantity, true, counts)
  while no and sale.looked_at < EXPIRE_MOST and expire_page(sale) do
    no = over_limit(sale, customer, quantity, true, counts)
  end
  if no then return no end
  local other = record_of(sale, 'waits:' .. customer)
  if other then return {'already-waiting', other.id} end
  if waiting_count(sale) + elsewhere >= rules.waiting_most then return {'waiting-list-full', rules.waiting_most} end

  local last = record_of(sale, 'waiting-place')
  local place = (last and last.newest or 0) + 1
  if rules.spread then place = shard_list.next_place(sale, place - 1) end
  put_record(sale, 'waiting-place', {kind = 'place', newest = place})
  entry = {kind = 'waiting', fingerprint = fingerprint, state = 'waiting', created_ms = NOW, place = place,
    seq = SEQ + 1, customer = customer, sku = sku, quantity = quantity, admitted = admitted,
    identities = details and details.identities}
  begin_waiting(sale, id, entry)
  if rules.spread then shard_list.joined(sale, entry) end
  touch(sale, sku)
  serve_waiting(sale)
  return seen(sale, id, false)
end

local function decide(sale, verb, id, ...)
  if not sale.config then return {'unknown-sale'} end
  if verb == 'join' then return join(sale, id, ...) end
  local entry = record_of(sale, 'waiting:' .. id)
  if not entry then return {'unknown-entry'} end
  if verb == 'see' or entry.state ~= 'waiting' then return seen(sale, id, true) end
  end_waiting(sale, id, entry, 'left')
  if sale.touched then
    touch(sale, entry.sku)
    serve_waiting(sale)
  end
  return seen(sale, id, false)
end

return run_batch(decide)
