-- Where a call has the keys of its sales' waiting rooms: after the keys of all sales, five per sale, in the same order of sales.

local ROOM_KEYS = 5
local SALE_COUNT = (#KEYS - 2) / (KEYS_PER_SALE + ROOM_KEYS)

-- room_keys(sale): room, waiting, active, lottery, spent: see room.lua.
local function room_keys(sale)
  local at = 3 + SALE_COUNT * KEYS_PER_SALE + sale.index * ROOM_KEYS
  return unpack(KEYS, at, at + ROOM_KEYS - 1)
end

local EMPTY_MS = 1000 -- a shared room that was empty counts as empty for four beats of the recorder

-- no_ticket_in(sale): whether the sale's waiting room, or the one that it shares, has no ticket that waits or is admitted.
local function no_ticket_in(sale)
  local room_key, waiting_key, active_key = room_keys(sale)
  if sale.config.rules.room.of then return NOW - tonumber(redis.call('HGET', room_key, 'empty_ms') or 0) < EMPTY_MS end
  return redis.call('ZCARD', waiting_key) == 0 and redis.call('ZCOUNT', active_key, '(' .. NOW, '+inf') == 0
end
