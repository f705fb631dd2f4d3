-- What an answer and a receipt tell of a hold beside its content.

-- told_of(sale, record): what is told of a hold beside its content: {more, takes, pick_up, identities, prices}, as far as it has
-- them, false in place of one before. more: the ledger has the rest; takes: where units of locations are among them.
local function told_of(sale, record)
  local kept, takes = record.kept or {}, allocated(record.takes)
  local told = {kept.more or false, takes or false, takes and kept.pick_up or false, kept.identities or false,
    learn_prices().of(sale, record) or false}
  for i = 5, 1, -1 do
    if told[i] then break end
    told[i] = nil
  end
  return told
end

-- amended_of(sale, record): what a receipt of a hold must say too: {fingerprint, revision, and what is told}; nil where that is
-- nothing, and it was never amended.
local function amended_of(sale, record)
  local revision, told = revision_of(record), told_of(sale, record)
  return (revision > 0 or #told > 0) and {record.fingerprint, revision, unpack(told)} or nil
end
