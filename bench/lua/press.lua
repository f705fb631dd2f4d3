-- press: POST after POST, each by a fresh customer and with a fresh Idempotency-Key.
-- BENCH_PATH        where; "%d" in it is replaced by the number of a sale, where BENCH_SALES says how many
-- BENCH_BODY        the JSON, with %s for the customer and then for the sku
-- BENCH_RUN         names this run: customers and keys of two runs never meet
-- BENCH_AUTH        the Authorization header; may be empty
-- BENCH_KEYS        0: every key is fresh; else so many keys, over and over (replays)
-- BENCH_SKUS        0: one item, "unit"; else so many, "unit-0" and on, in turn

dofile(os.getenv('BENCH_LUA') .. '/count.lua')

local format = string.format
local path, body, run = os.getenv('BENCH_PATH'), os.getenv('BENCH_BODY'), os.getenv('BENCH_RUN')
local auth = os.getenv('BENCH_AUTH') or ''
local keys = tonumber(os.getenv('BENCH_KEYS') or 0)
local skus = tonumber(os.getenv('BENCH_SKUS') or 0)
local sales = tonumber(os.getenv('BENCH_SALES') or 0)
local number, prefix, tail = 0, '', ''

function init()
  prefix = run .. id
  tail = ' HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port .. '\r\nContent-Type: application/json\r\n'
    .. (auth ~= '' and ('Authorization: ' .. auth .. '\r\n') or '') .. 'Idempotency-Key: order-attempt-'
end

function request()
  number = number + 1
  local name = format('%s-%08d', prefix, keys > 0 and number % keys or number)
  local json = format(body, name, skus > 0 and ('unit-' .. number % skus) or 'unit')
  return 'POST ' .. (sales > 0 and format(path, number % sales) or path) .. tail .. name
    .. '\r\nContent-Length: ' .. #json .. '\r\n\r\n' .. json
end
