-- poll: GET after GET, of one ticket after the other.
-- BENCH_PATH        what stands before a ticket's id
-- BENCH_IDS         a file with an id on each line
-- BENCH_AUTH        the Authorization header

dofile(os.getenv('BENCH_LUA') .. '/count.lua')

local start = 'GET ' .. os.getenv('BENCH_PATH')
local tail, ids, number = '', {}, 0

for id in io.lines(os.getenv('BENCH_IDS')) do ids[#ids + 1] = id end

function init()
  tail = ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port .. '\r\nAuthorization: ' .. os.getenv('BENCH_AUTH') .. '\r\n\r\n'
end

function request()
  number = number % #ids + 1
  return start .. ids[number] .. tail
end
