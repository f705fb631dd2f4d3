#!lua
-- take_tokens: spends tokens of buckets, which limit how often a caller may ask. A bucket holds `tokens`, and is filled
-- over `window_ms`. A request spends one token of each of its buckets, or none where one of them is empty.
--
-- The rule: over any time t a bucket grants at most tokens + t * tokens / window_ms requests; a refused request spends
-- nothing.
--
-- KEYS      one string per bucket: when it is full again, in milliseconds; absent: it is full. It expires then, so
--           that memory holds only the buckets of callers that asked within the window.
-- ARGV[1]   msgpack {now_ms (0: the server's clock), requests}
-- requests  {{bucket index, tokens, window_ms, bucket index, tokens, window_ms, ...}, ...}; indices from 0
-- results   {{which of its buckets is the narrowest (from 0), tokens left there, full again in ms, wait_ms}, ...}
--           wait_ms > 0: refused; there is a token after that time

local NOW, REQUESTS = unpack(cmsgpack.unpack(ARGV[1]))
if NOW == 0 then
  local seconds, micros = unpack(redis.call('TIME'))
  NOW = seconds * 1000 + micros / 1000
end

local CHUNK = 1000 -- keys of one command; Lua's unpack overflows near 8,000
local full_at, changed = {}, {}
for from = 1, #KEYS, CHUNK do
  local values = redis.call('MGET', unpack(KEYS, from, math.min(from + CHUNK - 1, #KEYS)))
  for i = 1, #values do full_at[from + i - 1] = math.max(tonumber(values[i] or 0), NOW) end
end

local function spend(request)
  local narrowest, least, full_in, wait = 0, nil, 0, 0
  for i = 1, #request, 3 do
    local bucket, tokens, window_ms = request[i] + 1, request[i + 1], request[i + 2]
    local after = full_at[bucket] - NOW + window_ms / tokens
    if after - window_ms > 0.001 then
      if after - window_ms > wait then
        narrowest, least, full_in, wait = (i - 1) / 3, 0, full_at[bucket] - NOW, after - window_ms
      end
    elseif wait == 0 then
      local left = math.floor((window_ms - after) * tokens / window_ms + 0.001)
      if not least or left < least then narrowest, least, full_in = (i - 1) / 3, left, after end
    end
  end
  if wait == 0 then
    for i = 1, #request, 3 do
      local bucket = request[i] + 1
      full_at[bucket] = full_at[bucket] + request[i + 2] / request[i + 1]
      changed[bucket] = true
    end
  end
  return {narrowest, least, math.ceil(full_in), math.ceil(wait)}
end

local results = {}
for i = 1, #REQUESTS do results[i] = spend(REQUESTS[i]) end
for bucket in pairs(changed) do
  redis.call('SET', KEYS[bucket], string.format('%.3f', full_at[bucket]), 'PX', math.ceil(full_at[bucket] - NOW))
end
return cmsgpack.pack(results)
