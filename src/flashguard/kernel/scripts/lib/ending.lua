-- end_holds(status, word, late): what confirm and release share. A table of transitions, in words:
--   held, in time    -> the status asked for
--   held, time ended -> expired (its units go back), answered reservation-expired
--   the same status  -> as it is, no second effect
--   another          -> refused with that status's own code
-- late(sale, id, record, request): may answer for a hold that ended, or that memory does not know, before these
-- rules do; nil leaves it to them.
local function end_holds(status, word, late)
  local refusal = closed()
  if refusal then return answer(refusal) end
  local wants, add, add_sku = wanted()
  for i = 1, #REQUESTS do
    local grant = REQUESTS[i][3]
    add(REQUESTS[i][1], REQUESTS[i][2], grant and grant[2])
    if grant then
      for j = 1, #grant[3], 2 do add_sku(REQUESTS[i][1], grant[3][j]) end
    end
  end
  prefetch(wants)

  local results = {}
  for i = 1, #REQUESTS do
    local sale, id = SALES[REQUESTS[i][1]], REQUESTS[i][2]
    local record = sale.records[id]
    results[i] = late and late(sale, id, record, REQUESTS[i])
    if results[i] then -- answered
    elseif not record then
      results[i] = {'unknown-reservation'}
    elseif record[1] == status then
      results[i] = {'as-it-is', unrecorded(record)}
    elseif record[1] ~= HELD then
      results[i] = {REFUSAL[record[1]]}
    elseif NOW >= record[3] + record[5] then
      finish(sale, id, record, EXPIRED, record[3] + record[5])
      results[i] = {REFUSAL[EXPIRED]}
    else
      results[i] = {word, record[6], record[7], record[3], record[4], record[3] + record[5], NOW, SEQ + 1}
      finish(sale, id, record, status, NOW)
    end
    if sale.stirred then hand_out(sale) end
  end
  flush()
  return answer('', results)
end
