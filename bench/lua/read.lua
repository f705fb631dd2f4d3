-- read: GET after GET of BENCH_PATH, with BENCH_AUTH, and with BENCH_ETAG where the caller has an answer.

dofile(os.getenv('BENCH_LUA') .. '/count.lua')

local whole

function init()
  local etag = os.getenv('BENCH_ETAG')
  whole = 'GET ' .. os.getenv('BENCH_PATH') .. ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port
    .. '\r\nAuthorization: ' .. os.getenv('BENCH_AUTH')
    .. (etag and '\r\nIf-None-Match: ' .. etag or '') .. '\r\n\r\n'
end

function request() return whole end
