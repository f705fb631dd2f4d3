#!lua
-- fence: closes a partition, so that nothing is decided while its memory is rebuilt from the ledger.
-- The fence's value is the epoch being built, or 0 before there is one; a newer builder takes it over, but not
-- from one that still makes progress: two that took turns would never end.
--
-- KEYS      partition, journal
-- requests  {fence, builder, lease_ms, why, stuck}; without a builder the fence just stands, for an operator.
--           stuck  "<epoch>-<seq>" of the ledger's position after which the journal can't be recorded: while the ledger
--                  stands there, no recorder may rebuild the partition
-- results   {fence that stands now}, and true when another builder is at it

--@include lib/partition.lua

local fence, builder, lease_ms, why, stuck = unpack(REQUESTS, 1, 5)
local other, building_ms = unpack(redis.call('HMGET', KEYS[1], 'builder', 'building_ms'))
local age_ms = NOW - tonumber(building_ms or 0)
if FENCE and builder and other and other ~= builder and age_ms >= 0 and age_ms < lease_ms then
  return answer('', {FENCE, true})
end
if not FENCE or tonumber(fence) > tonumber(FENCE) then FENCE = fence end
redis.call('HSET', KEYS[1], 'fence', FENCE)
if builder then redis.call('HSET', KEYS[1], 'builder', builder, 'building_ms', NOW) end
if why then redis.call('HSET', KEYS[1], 'why', why) end
if stuck then redis.call('HSET', KEYS[1], 'stuck', stuck) end
return answer('', {FENCE})
