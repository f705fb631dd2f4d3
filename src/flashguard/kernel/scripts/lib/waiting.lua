-- The waiting list: who waits for units of an item, in order. Units that come back are theirs before open sale sees
-- them: whatever a request changes, hand_out runs before the next request is decided.
--
--   line          zset   every score is 0, so that members are ordered by item and place: see line.lua
--   reservations  hash   waiting:<id>     -> 'waiting', fingerprint, state, created_ms, place, seq, customer, sku, quantity
--                        waits:<customer> -> id of the entry, while it waits
--                        waiting-place    -> 'place', the newest
--   item:<sku>           "stock held sold owed": units that are free and set aside for the first in line, who wants more
--
-- An entry is for units of one item. It is never passed by one behind it: units are set aside until it has them all.
-- Only while it wants more than are unsold, it is passed over. State: waiting, then offered (a hold under its id), left,
-- limit-reached (its customer bought elsewhere), or ended (it can't be offered). Rules: waiting_most, how many may wait; waiting_hold_ms.

--@include lib/line.lua

local waiting_count, ahead_of, end_waiting, stir_all

-- learn_waiting(): makes what follows, in calls that meet a sale with a list; the others shall not pay for it.
function learn_waiting()
  if waiting_count then return end

  -- stir(sale, sku, more): the item shall be looked at for those who wait, once the request is decided; more: because
  -- there are more unsold units of it.
  function stir(sale, sku, more)
    local stirred = sale.stirred
    if not stirred[sku] then stirred[#stirred + 1] = sku end
    stirred[sku] = (more or stirred[sku] == 'more') and 'more' or 'yes'
  end

  -- waiting_count(sale): how many wait, for whatever.
  function waiting_count(sale)
    if not sale.waiting then sale.waiting = redis.call('ZCARD', sale.line_key) - 1 end
    return sale.waiting
  end

  local function between(prefix, sku)
    return '[' .. prefix .. sku .. '\0', '(' .. prefix .. sku .. '\1'
  end

  -- first_in_line(sale, sku): id and entry of who is next, or nil.
  local function first_in_line(sale, sku)
    local from, to = between('w', sku)
    local member = redis.call('ZRANGEBYLEX', sale.line_key, from, to, 'LIMIT', 0, 1)[1]
    if not member then return nil end
    local id = string.match(member, '%z([^%z]*)$')
    return id, record_of(sale, 'waiting:' .. id)
  end

  -- ahead_of(sale, id, entry): how many wait for the same item before this one.
  function ahead_of(sale, id, entry)
    local sku, place, count = entry[8], entry[5], 0
    for _, parked in ipairs({false, true}) do
      local from = between(parked and 'p' or 'w', sku)
      count = count + redis.call('ZLEXCOUNT', sale.line_key, from, '(' .. line_member(sku, place, id, parked))
    end
    return count
  end

  local function park(sale, id, entry)
    redis.call('ZREM', sale.line_key, line_member(entry[8], entry[5], id))
    redis.call('ZADD', sale.line_key, 0, line_member(entry[8], entry[5], id, true))
  end

  -- unpark(sale, sku): there are more unsold units: everybody may be served again.
  local function unpark(sale, sku)
    local members = redis.call('ZRANGEBYLEX', sale.line_key, between('p', sku))
    local changes = {}
    for i = 1, #members do
      changes[2 * i - 1], changes[2 * i] = 0, 'w' .. string.sub(members[i], 2)
      redis.call('ZREM', sale.line_key, members[i])
    end
    call('ZADD', sale.line_key, changes)
  end

  -- end_waiting(sale, id, entry, state): takes an entry off the list.
  function end_waiting(sale, id, entry, state)
    local sku, place, customer = entry[8], entry[5], entry[7]
    sale.waiting = waiting_count(sale) - 1
    redis.call('ZREM', sale.line_key, line_member(sku, place, id), line_member(sku, place, id, true))
    redis.call('HDEL', sale.reservations_key, 'waits:' .. customer)
    sale.records['waits:' .. customer], sale.records_changed['waits:' .. customer] = false, nil
    put_record(sale, 'waiting:' .. id, {'waiting', entry[2], state, entry[4], place, SEQ + 1, customer, sku, entry[9]})
    transitions[#transitions + 1] = {'leave', sale.id, id, {sku, entry[9]}, NOW, state}
  end

  -- offer(sale, id, entry): its units are held for it: an ordinary hold, under the entry's own id.
  local function offer(sale, id, entry)
    local hold_ms = sale.config.rules.waiting_hold_ms or sale.config.hold_ms
    local fingerprint, customer, lines = entry[2], entry[7], {entry[8], entry[9]}
    add_used(sale, customer, entry[9])
    move(sale, lines, 'held', 1)
    if sale.habits then count_held(sale, customer, entry[9]) end
    put_record(sale, id, {HELD, fingerprint, NOW, hold_ms, hold_ms, customer, lines, {}})
    local added = sale.deadlines_added
    added[#added + 1] = NOW + hold_ms
    added[#added + 1] = id
    transitions[#transitions + 1] = {'hold', sale.id, id, lines, NOW, fingerprint, customer, hold_ms}
    end_waiting(sale, id, entry, 'offered')
  end

  -- serve(sale, sku, more): gives an item's free units to those who wait for it. more: it has more unsold ones.
  local function serve(sale, sku, more)
    local item = item_of(sale, sku)
    if not item or (waiting_count(sale) == 0 and not item.owed) then return end
    if more then unpark(sale, sku) end
    local free, owed, limit = item.stock - item.held - item.sold, nil, sale.config.limit
    local last
    while free > 0 do
      local id, entry = first_in_line(sale, sku)
      if not id then break end
      if id == last then error('the line for ' .. sku .. ' does not move') end -- never loop in a server that all share
      last = id
      if item.stock - item.sold < entry[9] then
        park(sale, id, entry)
      elseif limit > 0 and used_by(sale, entry[7]) + entry[9] > limit then
        end_waiting(sale, id, entry, 'limit-reached')
      elseif record_of(sale, id) then -- another reservation has this id: nothing can be offered under it
        end_waiting(sale, id, entry, 'ended')
      elseif free >= entry[9] then
        offer(sale, id, entry)
        free = free - entry[9]
      else
        owed = free
        break
      end
    end
    if item.owed ~= owed then
      item.owed = owed
      sale.owed_changed[sku] = item
    end
  end

  -- hand_out(sale): what the last request changed is looked at once more, for those who wait.
  function hand_out(sale)
    local stirred = sale.stirred
    if not stirred or #stirred == 0 then return end
    if status_now(sale.config) == 'open' then
      sale.stirred = nil -- what is handed out stirs nothing further
      for i = 1, #stirred do serve(sale, stirred[i], stirred[stirred[i]] == 'more') end
    end
    sale.stirred = {}
  end

  -- stir_all(sale): every item that somebody waits for; what the clock opened, or a rebuild brought back, is noticed so.
  function stir_all(sale)
    if not sale.stirred or waiting_count(sale) == 0 then return end
    local from = '[w'
    while true do
      local member = redis.call('ZRANGEBYLEX', sale.line_key, from, '(x', 'LIMIT', 0, 1)[1]
      if not member then return end
      local sku = string.match(member, '^w([^%z]*)%z')
      stir(sale, sku)
      local _, after = between('w', sku)
      from = '[' .. string.sub(after, 2)
    end
  end
end
