-- Customers' habits: what is counted of each customer where a rule of the sale asks for it, and only there.
--
--   habits  hash  customer -> "held lapses last_ms": units in live holds, holds that ended without an order (their time
--                 ran out, or they were given back), and when the last of those did
--
-- Rules: max_held, units in one customer's live holds; cool_down_ms, how long a customer may hold nothing after
-- cool_down_after lapses, and after each further one; counted_since_ms, when counting began in a sale under way.
-- A sale with a waiting list counts too: an entry must know which of its customer's units are held, and which bought.

local COOL_DOWN_AFTER = 3 -- lapses, where the sale does not say

-- counted(rules): whether the habits of a sale's customers are counted.
local function counted(rules)
  return rules.max_held ~= nil or rules.cool_down_ms ~= nil or rules.waiting_most ~= nil
end

local parse_habits, habits_of, count_held, count_lapse, write_habits

-- count_habits(sale): counts them from here on, if a rule asks for it: then sale.habits is there, and the functions
-- above are. Calls that meet no such sale shall not pay for making them.
local function count_habits(sale)
  if not counted(sale.config.rules) then return end
  sale.habits, sale.habits_changed = sale.habits or {}, sale.habits_changed or {}
  if parse_habits then return end

  function parse_habits(text)
    local held, lapses, last_ms = string.match(text or '0 0 0', '^(%d+) (%d+) (%d+)$')
    return {held = tonumber(held), lapses = tonumber(lapses), last_ms = tonumber(last_ms)}
  end

  -- habits_of(sale, customer): only where the sale counts them.
  function habits_of(sale, customer)
    local habits = sale.habits[customer]
    if habits == nil then
      habits = parse_habits(redis.call('HGET', sale.habits_key, customer))
      sale.habits[customer] = habits
    end
    return habits
  end

  -- count_held(sale, customer, units): units that came to, or left, a customer's live holds.
  function count_held(sale, customer, units)
    local habits = habits_of(sale, customer)
    habits.held = habits.held + units
    sale.habits_changed[customer] = habits
  end

  -- count_lapse(sale, customer, ended_ms, sign): one hold more that ended without an order; -1: it became one after all.
  function count_lapse(sale, customer, ended_ms, sign)
    if ended_ms < (sale.config.rules.counted_since_ms or 0) then return end
    local habits = habits_of(sale, customer)
    habits.lapses = math.max(0, habits.lapses + sign)
    habits.last_ms = habits.lapses > 0 and math.max(habits.last_ms, ended_ms) or 0
    sale.habits_changed[customer] = habits
  end

  -- write_habits(sale): each changed customer once; nothing is kept of one with nothing to count.
  function write_habits(sale)
    local kept, gone = {}, {}
    for customer, habits in pairs(sale.habits_changed) do
      if habits.held > 0 or habits.lapses > 0 then
        kept[#kept + 1] = customer
        kept[#kept + 1] = string.format('%.0f %.0f %.0f', habits.held, habits.lapses, habits.last_ms)
      else
        gone[#gone + 1] = customer
      end
    end
    call('HSET', sale.habits_key, kept)
    call('HDEL', sale.habits_key, gone)
  end
end
