-- The frame of a verb that changes nothing. It also answers while the ledger is behind.

-- read_batch(decide): the reply; decide(sale, ...) as in batch.lua.
local function read_batch(decide)
  local refusal = closed()
  if refusal == 'recovering' then return answer(refusal) end
  local results = {}
  for i = 1, #REQUESTS do results[i] = decide(sale_at(REQUESTS[i][1]), unpack(REQUESTS[i], 2)) end
  return answer('', results)
end
