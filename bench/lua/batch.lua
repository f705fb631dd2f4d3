-- batch: POST of BENCH_SIZE requests to BENCH_PATH, each with a customer and a key of its own.

dofile(os.getenv('BENCH_LUA') .. '/count.lua')

local size, run = tonumber(os.getenv('BENCH_SIZE')), os.getenv('BENCH_RUN')
local head = 'POST ' .. os.getenv('BENCH_PATH') .. ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port
  .. '\r\nContent-Type: application/json\r\nAuthorization: ' .. os.getenv('BENCH_AUTH') .. '\r\nContent-Length: '
local number, format, concat = 0, string.format, table.concat

function request()
  local all = {}
  for place = 1, size do
    number = number + 1
    all[place] = format('{"key":"%s-%d","customer":"%s-%d","items":[{"sku":"unit","quantity":1}]}',
      run, number, run, number)
  end
  local body = '{"requests":[' .. concat(all, ',') .. ']}'
  return head .. #body .. '\r\n\r\n' .. body
end
