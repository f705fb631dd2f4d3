-- The members of a sale's queue (the key named line). Every score is 0, so that members are in the order of their text:
--
--   ''                                    the mark that load writes
--   d<due ms>\0<sku>                      an item to serve again, once it is due
--   d<due ms>\0<sku>\0<entry>             an entry that sleeps until then
--   e<sku>                                an item with free units for entries whose customer the waiting room did not admit
--   p<sku>\0<place>\0<id>                 every entry that waits, by place
--   q<sku>\0<quantity>\0<place>\0<id>     an entry that can be served, by quantity, then by place
--   r<sku>\0<quantity>\0<place>\0<id>     the same, where the sale's waiting room did not admit the customer
--   w<sku>                                of a spread sale: an item, a pool, that the next round must see: see shard_list.lua
--
-- <entry> is <quantity>\0<place>\0<id>. Numbers have leading zeros.

local function due_member(due_ms, rest)
  return string.format('d%015.0f', due_ms) .. '\0' .. rest
end

local function place_member(sku, place, id)
  return 'p' .. sku .. '\0' .. string.format('%015.0f', place) .. '\0' .. id
end

-- entry_text(quantity, place, id): <entry>.
local function entry_text(quantity, place, id)
  return string.format('%09.0f', quantity) .. '\0' .. string.format('%015.0f', place) .. '\0' .. id
end

local function size_member(sku, text, admitted)
  return (admitted and 'q' or 'r') .. sku .. '\0' .. text
end
