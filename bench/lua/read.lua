-- read: GET after GET of BENCH_PATH, with BENCH_AUTH.

dofile(os.getenv('BENCH_LUA') .. '/count.lua')

local whole

function init()
  whole = 'GET ' .. os.getenv('BENCH_PATH') .. ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port
    .. '\r\nAuthorization: ' .. os.getenv('BENCH_AUTH') .. '\r\n\r\n'
end

function request() return whole end
