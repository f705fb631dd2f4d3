-- count: answers by what they say, so that sales, rejections and errors are never added together.
-- Every thread of wrk counts for itself; done() adds up and prints one line of JSON.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set('id', #threads)
end

counts = {} -- word -> answers
by_second = {} -- 'second word' -> answers; flat, for wrk can't copy a table of tables between threads
local with_seconds = os.getenv('BENCH_BY_SECOND') == '1'
local with_replays = os.getenv('BENCH_REPLAYS') == '1'
local time, match = os.time, string.match

-- word(status, headers, body): '201', '409 sold-out', '503 overloaded', '201 replayed', …
local function word(status, headers, body)
  if status >= 400 then return status .. ' ' .. (match(body, '"code": ?"([a-z-]+)"') or '?') end
  if with_replays and headers['idempotent-replayed'] then return status .. ' replayed' end
  return tostring(status)
end

function response(status, headers, body)
  local said = word(status, headers, body)
  counts[said] = (counts[said] or 0) + 1
  if with_seconds then
    local now = time() .. ' ' .. said
    by_second[now] = (by_second[now] or 0) + 1
  end
end

local function add(sums, more)
  for said, answers in pairs(more) do sums[said] = (sums[said] or 0) + answers end
end

local function object(sums)
  local members = {}
  for said, answers in pairs(sums) do members[#members + 1] = string.format('"%s":%d', said, answers) end
  return '{' .. table.concat(members, ',') .. '}'
end

function done(summary, latency)
  local all, seconds = {}, {}
  for _, thread in ipairs(threads) do
    add(all, thread:get('counts'))
    add(seconds, thread:get('by_second'))
  end
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"seconds":%.6f,"answers":%s,"by_second":%s,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,'
      .. '"broken":{"connect":%d,"read":%d,"write":%d,"timeout":%d}}\n',
    summary.duration / 1e6, object(all), object(seconds),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.connect, errors.read, errors.write, errors.timeout))
end
