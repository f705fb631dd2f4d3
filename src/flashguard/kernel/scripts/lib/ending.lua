-- end_holds(status, word): what confirm and release share. A table of transitions, in words:
--   held, in time    -> the status asked for
--   held, time ended -> expired (its units go back), answered reservation-expired
--   the same status  -> as it is, no second effect
--   another          -> refused with that status's own code
local function end_holds(status, word)
  local refusal = closed()
  if refusal then return answer(refusal) end
  local wants, add = wanted()
  for i = 1, #REQUESTS do add(REQUESTS[i][1], REQUESTS[i][2]) end
  prefetch(wants)

  local results = {}
  for i = 1, #REQUESTS do
    local sale, id = SALES[REQUESTS[i][1]], REQUESTS[i][2]
    local record = sale.records[id]
    if not record then
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
  end
  flush()
  return answer('', results)
end
