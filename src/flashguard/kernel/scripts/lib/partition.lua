-- The partition: fence, epoch, clock and journal. Every verb includes it first.
--
-- KEYS[1]  partition hash: epoch, seq and token of the newest journal entry, recorded (newest seq in the
--          ledger, set now and then), fence (present while memory may not answer); with a fence also why it
--          stands, builder (who rebuilds), building_ms (when the builder last made progress) and loads (its calls of load so far)
-- KEYS[2]  journal stream; ids are <epoch>-<seq>, contiguous within an epoch
-- ARGV[1]  msgpack {token, floor_epoch, max_backlog, now_ms, requests}
--          token        random, names this call's journal entry
--          floor_epoch  newest epoch the caller has seen; memory of an older epoch has lost its history
--          now_ms       0: the server's clock (only tests pass another)
--          requests     see batch.lua, or what the verb's header says

local TOKEN, FLOOR_EPOCH, MAX_BACKLOG, NOW, REQUESTS = unpack(cmsgpack.unpack(ARGV[1]))
if NOW == 0 then
  local seconds, micros = unpack(redis.call('TIME'))
  NOW = seconds * 1000 + math.floor(micros / 1000)
end

local CHUNK = 1000 -- arguments of one command; Lua's unpack overflows near 8,000

-- call(command, key, list): runs a command with a long list of arguments in bounded pieces, each of an even number.
local function call(command, key, list)
  for from = 1, #list, CHUNK do
    redis.call(command, key, unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

-- hmget(key, fields): one array of values, false where a field is missing, however many fields.
local function hmget(key, fields)
  if #fields <= CHUNK then
    if #fields == 0 then return {} end
    return redis.call('HMGET', key, unpack(fields))
  end
  local values, count = {}, 0
  for from = 1, #fields, CHUNK do
    local part = redis.call('HMGET', key, unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
    for i = 1, #part do
      count = count + 1
      values[count] = part[i]
    end
  end
  return values
end

local EPOCH, SEQ, LAST_TOKEN, RECORDED, FENCE =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'token', 'recorded', 'fence'))
EPOCH, SEQ, RECORDED = tonumber(EPOCH), tonumber(SEQ), tonumber(RECORDED)

-- answer(status, results, numbers): the reply of every verb: {status, epoch, seq, now_ms, results}. seq is the entry that this
-- call wrote, or the newest one when it changed nothing. status is '' or why nothing was decided. With numbers, one per
-- request: which of the results is its own.
local function answer(status, results, numbers)
  return cmsgpack.pack({status, EPOCH or 0, SEQ or 0, NOW, results or {}, numbers})
end

-- closed(): why this partition may not decide now, or nil. A missing key means closed, never zero stock.
local function closed()
  if not EPOCH or not SEQ or not RECORDED or FENCE or EPOCH < FLOOR_EPOCH then return 'recovering' end
  if SEQ - RECORDED > MAX_BACKLOG then return 'overloaded' end
  return nil
end

local pack = cmsgpack.pack
local journal, noted = {}, 0 -- this call's transitions, packed, in order, and their number

-- note(blob): adds a packed transition to this call's journal entry.
local function note(blob)
  noted = noted + 1
  journal[noted] = blob
end

-- string_head(text): the start of a packed string; with the text after it, it is what pack(text) returns.
local function string_head(text)
  local length = #text
  if length < 32 then return string.char(0xa0 + length) end
  if length < 256 then return string.char(0xd9, length) end
  return string.char(0xda, math.floor(length / 256), length % 256)
end

-- array_head(count): the start of a packed array of so many values.
local function array_head(count)
  if count < 16 then return string.char(0x90 + count) end
  return string.char(0xdd, 0, math.floor(count / 65536), math.floor(count / 256) % 256, count % 256)
end

-- append(counters): writes one journal entry {now_ms, transitions, counters} for the whole call, chained to the one before it.
local function append(counters)
  SEQ = SEQ + 1
  local body = array_head(3) .. pack(NOW) .. array_head(noted) .. table.concat(journal) .. pack(counters)
  redis.call('XADD', KEYS[2], string.format('%.0f-%.0f', EPOCH, SEQ), 't', TOKEN, 'p', LAST_TOKEN, 'd', body)
  redis.call('HSET', KEYS[1], 'seq', SEQ, 'token', TOKEN)
end
