#!lua
-- unfence: opens a rebuilt partition under its new epoch, with a new journal whose first entry says why.
--
-- KEYS      partition, journal
-- requests  {fence, token of the ledger's position, why it was rebuilt, how many loads there were under the fence}
-- results   {'open'} {'incomplete'}; status 'recovering' when another fence stands
--
-- The rule: memory opens only if it has every load. A replica that was promoted in the middle of the rebuild may have the
-- fence and lack pages that the builder was told were loaded: what it had before would be taken for the ledger's.

--@include lib/partition.lua

local fence, position_token, why, loads = unpack(REQUESTS, 1, 4)
if FENCE ~= fence then return answer('recovering') end
if tonumber(redis.call('HGET', KEYS[1], 'loads') or 0) ~= loads then return answer('', {'incomplete'}) end
redis.call('UNLINK', KEYS[1], KEYS[2])
EPOCH, SEQ, LAST_TOKEN = tonumber(fence), 0, position_token
redis.call('HSET', KEYS[1], 'epoch', fence, 'recorded', 0)
note(pack({'rebuilt', '', why, {}, NOW}))
append({})
return answer('', {'open'})
