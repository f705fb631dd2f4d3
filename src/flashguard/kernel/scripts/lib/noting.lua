-- note_sale(sale, key, verb): says in the journal what the sale's status and rules are from now on.
local function note_sale(sale, key, verb)
  local c, rules = sale.config, nil
  for name, rule in pairs(c.rules) do
    if name ~= 'room' then -- the ledger knows of the room before memory does
      rules = rules or {}
      rules[name] = rule
    end
  end
  sale.config_changed = true
  transitions[#transitions + 1] = {'sale', sale.id, c.status, {}, NOW, c.starts_ms, key, c.ends_ms, c.hold_ms,
    c.max_hold_ms, c.limit, c.durability, verb, rules}
end
