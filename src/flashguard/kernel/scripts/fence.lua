#!lua
-- fence: closes a partition, so that nothing is decided while its memory is rebuilt from the ledger.
--
-- The rule: the fence's value is the epoch being built, or 0 before there is one. With it begins the count of the builder's
-- loads, see unfence.lua. A newer builder replaces the one before,
-- unless that one still makes progress: two builders that replace each other in turn would never finish.
--
-- KEYS      partition, journal
-- requests  {fence, builder, lease_ms, why, stuck}; without a builder the fence stands until an operator acts.
--           stuck  "<epoch>-<seq>" of the ledger's position after which the journal can't be recorded: while the ledger
--                  is at that position, no recorder may rebuild the partition
-- results   {the fence now, and true when another builder makes progress}

--@include lib/partition.lua

local fence, builder, lease_ms, why, stuck = unpack(REQUESTS, 1, 5)
local other, building_ms = unpack(redis.call('HMGET', KEYS[1], 'builder', 'building_ms'))
local age_ms = NOW - tonumber(building_ms or 0)
if FENCE and builder and other and other ~= builder and age_ms >= 0 and age_ms < lease_ms then
  return answer('', {FENCE, true})
end
if not FENCE or tonumber(fence) > tonumber(FENCE) then FENCE = fence end
redis.call('HSET', KEYS[1], 'fence', FENCE)
if builder then redis.call('HSET', KEYS[1], 'builder', builder, 'building_ms', NOW, 'loads', 0) end
if why then redis.call('HSET', KEYS[1], 'why', why) end
if stuck then redis.call('HSET', KEYS[1], 'stuck', stuck) end
return answer('', {FENCE})
