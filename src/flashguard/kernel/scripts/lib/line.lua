-- line_member(sku, place, id): who waits, as a member of the line: ordered by item, then by place. A parked one waits
-- for more units than are unsold and is passed over until there are more.
local function line_member(sku, place, id, parked)
  return (parked and 'p' or 'w') .. sku .. '\0' .. string.format('%015.0f', place) .. '\0' .. id
end
