-- hold_confirm: a hold, then the confirm of a hold that was granted, in turn.
-- The same variables as press.lua.

dofile(os.getenv('BENCH_LUA') .. '/press.lua')

local held, first, last = {}, 1, 0 -- a queue of ids
local count, press, auth = response, request, os.getenv('BENCH_AUTH')
local head = ''

local start = init
function init()
  start()
  head = ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port .. '\r\nAuthorization: ' .. auth
    .. '\r\nContent-Length: 0\r\n\r\n'
end

function response(status, headers, body)
  count(status, headers, body)
  if status == 201 then
    last = last + 1
    held[last] = string.match(body, '"id": ?"([^"]+)"')
  end
end

function request()
  if first > last then return press() end
  local reservation = held[first]
  held[first] = nil
  first = first + 1
  return 'POST /v1/reservations/' .. reservation .. '/confirm' .. head
end
