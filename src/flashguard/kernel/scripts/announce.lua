#!lua
-- announce: the recorder says what the ledger now holds. It is said only while this memory has that very
-- entry, by id and token: a memory that lost it is a lost history, and the recorder must rebuild.
--
-- KEYS      partition, journal
-- requests  {epoch, seq, token, channel, message, note recorded?, trim entries below this seq (0: none),
--            say it to the channel's shard alone?}
-- results   {'announced'} {'lost'}

--@include lib/partition.lua

local epoch, seq, token, channel, message = REQUESTS[1], REQUESTS[2], REQUESTS[3], REQUESTS[4], REQUESTS[5]
local note, trim = REQUESTS[6], REQUESTS[7]
local id = string.format('%.0f-%.0f', epoch, seq)
local entry = EPOCH == epoch and redis.call('XRANGE', KEYS[2], id, id)[1]
if FENCE or not entry or entry[2][2] ~= token then return answer('', {'lost'}) end
if note then redis.call('HSET', KEYS[1], 'recorded', seq) end
if trim > 0 then redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-%.0f', epoch, trim)) end
redis.call(REQUESTS[8] and 'SPUBLISH' or 'PUBLISH', channel, message)
return answer('', {'announced'})
