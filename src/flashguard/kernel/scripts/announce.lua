#!lua
-- announce: publishes what the ledger has committed. The recorder calls it.
--
-- The rule: a commit is announced only while this memory has that very entry, by id and token. A memory without it has
-- lost its history, and the recorder must rebuild it.
--
-- KEYS      partition, journal
-- requests  {epoch, seq, token, channel, message, note recorded?, trim entries below this seq (0: none),
--            publish to the channel's shard alone?}
-- results   {'announced'} {'lost'}

--@include lib/partition.lua

local epoch, seq, token, channel, message, note, trim, to_shard = unpack(REQUESTS)
local id = string.format('%.0f-%.0f', epoch, seq)
local entry = EPOCH == epoch and redis.call('XRANGE', KEYS[2], id, id)[1]
local fields = entry and entry[2] -- 't', token, ...
if FENCE or not entry or fields[2] ~= token then return answer('', {'lost'}) end
if note then redis.call('HSET', KEYS[1], 'recorded', seq) end
if trim > 0 then redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-%.0f', epoch, trim)) end
redis.call(to_shard and 'SPUBLISH' or 'PUBLISH', channel, message)
return answer('', {'announced'})
