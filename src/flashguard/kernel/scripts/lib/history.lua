-- Hold history: what is counted of each customer where a rule of the sale needs it, and only there.
--
--   habits  hash  customer            -> "held expired last_ms": units in live holds, holds that ended without an order (they
--                                        expired, or were released), and when the last of those ended
--                 \31<by>\31<identity> -> the same of all holds that name this identity: see limits.lua
--
-- Rules: max_held, units in one customer's live holds; cool_down_ms, how long a customer may hold nothing after
-- cool_down_after such holds, and after each further one; counted_since_ms, when counting began in a sale under way;
-- holds_by, {by, ...}, the identities for which all of this counts as for a customer, where a hold names them.
-- A sale with a waiting list counts too: an entry must know which of its customer's units are held, and which bought.

local COOL_DOWN_AFTER = 3 -- holds without an order, where the sale has no number
local NO_HOLDERS = {}

-- counted(rules): whether the hold history of a sale's customers is counted.
local function counted(rules)
  return rules.max_held ~= nil or rules.cool_down_ms ~= nil or rules.waiting_most ~= nil
end

local read_history, history_of, identity_holders, count_held, count_held_by, count_expired_by, write_history

-- count_history(sale): sets sale.history if a rule needs it, and makes the functions above, so that calls about other sales
-- do not pay for making them.
local function count_history(sale)
  if not counted(sale.config.rules) then return end
  sale.history, sale.history_changed = sale.history or {}, sale.history_changed or {}
  if read_history then return end

  function read_history(text)
    local held, expired, last_ms = string.match(text or '0 0 0', '^(%d+) (%d+) (%d+)$')
    return {held = tonumber(held), expired = tonumber(expired), last_ms = tonumber(last_ms)}
  end

  -- history_of(sale, customer): only for a sale with sale.history.
  function history_of(sale, customer)
    local history = sale.history[customer]
    if history == nil then
      history = read_history(redis.call('HGET', sale.history_key, customer))
      sale.history[customer] = history
    end
    return history
  end

  -- identity_holders(sale, details): the identities for which a hold with these details counts beside its customer: {{field =,
  -- by =}, ...}.
  function identity_holders(sale, details)
    local names, identities, holders = sale.config.rules.holds_by, details and details.identities, {}
    if not names or not identities then return NO_HOLDERS end
    for i = 1, #names do
      local by = names[i]
      if identities[by] then holders[#holders + 1] = {field = '\31' .. by .. '\31' .. identities[by], by = by} end
    end
    return holders
  end

  -- count_held(sale, holder, units): adds units to the live holds of a customer, or of an identity; below zero, removes them.
  function count_held(sale, holder, units)
    local history = history_of(sale, holder)
    history.held = history.held + units
    sale.history_changed[holder] = history
  end

  -- count_held_by(sale, customer, details, units): the same for a hold's customer and its identities.
  function count_held_by(sale, customer, details, units)
    count_held(sale, customer, units)
    local holders = identity_holders(sale, details)
    for i = 1, #holders do count_held(sale, holders[i].field, units) end
  end

  local function count_expired(sale, holder, ended_ms, sign)
    local history = history_of(sale, holder)
    history.expired = math.max(0, history.expired + sign)
    history.last_ms = history.expired > 0 and math.max(history.last_ms, ended_ms) or 0
    sale.history_changed[holder] = history
  end

  -- count_expired_by(sale, customer, details, ended_ms, sign): one more hold without an order; sign -1: a late confirm made it
  -- an order.
  function count_expired_by(sale, customer, details, ended_ms, sign)
    if ended_ms < (sale.config.rules.counted_since_ms or 0) then return end
    count_expired(sale, customer, ended_ms, sign)
    local holders = identity_holders(sale, details)
    for i = 1, #holders do count_expired(sale, holders[i].field, ended_ms, sign) end
  end

  -- write_history(sale): writes each changed customer once, and removes those with nothing to count.
  function write_history(sale)
    local kept, gone = {}, {}
    for customer, history in pairs(sale.history_changed) do
      if history.held > 0 or history.expired > 0 then
        kept[#kept + 1] = customer
        kept[#kept + 1] = string.format('%.0f %.0f %.0f', history.held, history.expired, history.last_ms)
      else
        gone[#gone + 1] = customer
      end
    end
    call('HSET', sale.history_key, kept)
    call('HDEL', sale.history_key, gone)
  end
end
