-- config_blob(c): what read_config of records.lua reads.
local function config_blob(c)
  if next(c.rules) then
    return pack(c.status, c.starts_ms, c.ends_ms, c.hold_ms, c.max_hold_ms, c.limit, c.durability, c.rules)
  end
  return pack(c.status, c.starts_ms, c.ends_ms, c.hold_ms, c.max_hold_ms, c.limit, more_than_disk(c))
end

-- journal_sale(sale, key, verb): marks the sale's status and rules as changed, and adds them to the journal entry.
local function journal_sale(sale, key, verb)
  local c, rules = sale.config, nil
  for name, rule in pairs(c.rules) do
    if name ~= 'room' and name ~= 'doors' or rule.of then -- its own room's the ledger makes from the sale's waiting room
      rules = rules or {}
      rules[name] = rule
    end
  end
  sale.config_changed = config_blob(c)
  note(pack({'sale', sale.id, c.status, {}, NOW, c.starts_ms, key, c.ends_ms, c.hold_ms,
    c.max_hold_ms, c.limit, c.durability, verb, rules}))
end
