#!lua
-- unfence: opens a rebuilt partition under its new epoch, with a new journal whose first entry says why.
--
-- KEYS      partition, journal
-- requests  {fence, token of the ledger's position, why it was rebuilt}
-- results   {'open'}; status 'recovering' when another fence stands

--@include lib/partition.lua

local fence, position_token, why = unpack(REQUESTS)
if FENCE ~= fence then return answer('recovering') end
redis.call('UNLINK', KEYS[1], KEYS[2])
EPOCH, SEQ, LAST_TOKEN = tonumber(fence), 0, position_token
redis.call('HSET', KEYS[1], 'epoch', fence, 'recorded', 0)
note(pack({'rebuilt', '', why, {}, NOW}))
append({})
return answer('', {'open'})
