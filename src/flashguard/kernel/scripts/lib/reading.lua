-- The frame of a verb that changes nothing. It also answers while the ledger is behind.

-- read_batch(decide): the reply; requests as in batch.lua, of which decide(sale, ...) gets one field.
local function read_batch(decide)
  local refusal = closed()
  if refusal == 'recovering' then return answer(refusal) end
  local results, fields = {}, REQUESTS[3] or {}
  for i = 1, REQUESTS[1] do results[i] = decide(sale_at(REQUESTS[2][i]), fields[i]) end
  return answer('', results)
end
