-- Where a call has the keys of its sales' waiting rooms: after the keys of all sales, five per sale, in the same order of sales.

local ROOM_KEYS = 5
local SALE_COUNT = (#KEYS - 2) / (KEYS_PER_SALE + ROOM_KEYS)

-- room_keys(sale): room, waiting, active, lottery, spent: see room.lua.
local function room_keys(sale)
  local at = 3 + SALE_COUNT * KEYS_PER_SALE + sale.index * ROOM_KEYS
  return unpack(KEYS, at, at + ROOM_KEYS - 1)
end
