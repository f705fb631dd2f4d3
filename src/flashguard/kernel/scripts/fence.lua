#!lua
-- fence: closes a partition, so that nothing is decided while its memory is rebuilt from the ledger.
-- The fence's value is the epoch being built, or 0 before there is one; a newer builder takes it over.
--
-- KEYS      partition, journal
-- requests  {fence}
-- results   {fence that stands now}

--@include lib/partition.lua

local fence = REQUESTS[1]
if not FENCE or tonumber(fence) > tonumber(FENCE) then
  redis.call('HSET', KEYS[1], 'fence', fence)
  FENCE = fence
end
return answer('', {FENCE})
