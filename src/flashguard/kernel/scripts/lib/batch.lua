-- The frame of a verb: checks that the partition may decide, reads what the batch names, decides request by request, writes
-- what changed, and answers.
--
-- requests come by columns, {count, {sale index, ...}, {first field, ...}, {second field, ...}, ...}: a table per field, not
-- per request. A header lists them by rows, {{sale index, field, ...}, ...}.

local NO_FIELD = {}

-- picked(column, numbers): the values of these requests; all of them without numbers.
local function picked(column, numbers)
  if not numbers or not column then return column or NO_FIELD end
  local values = {}
  for i = 1, #numbers do values[i] = column[numbers[i]] end
  return values
end

-- prefetch(sale, reads, numbers): the sale's config, and what these requests name, in few commands. numbers: as above.
local function prefetch(sale, reads, numbers)
  local items, records, used, fields, n = sale.items, sale.records, sale.used, {'config'}, 1
  local lines = picked(REQUESTS[reads.lines], numbers)
  for i = 1, #lines do
    for j = 1, #lines[i], 2 do
      local sku = lines[i][j]
      if items[sku] == nil then -- few items, many buyers: each is read once
        n = n + 1
        fields[n], items[sku] = 'item:' .. sku, false
      end
    end
  end
  local values = hmget(sale.key, fields)
  for i = 2, n do
    if values[i] then items[string.sub(fields[i], 6)] = read_item(values[i]) end
  end
  local names, customers = picked(REQUESTS[reads.name], numbers), picked(REQUESTS[reads.customer], numbers)
  if values[1] then
    sale.config = read_config(values[1])
    local rules = sale.config.rules
    if rules ~= NO_RULES then
      if rules.room then sale.single = {} end
      if rules.pools then
        learn_pools()
        pools.prefetch(sale)
      end
      find_limits(sale)
      count_history(sale)
      if rules.waiting_most then
        learn_waiting()
        sale.touched = sale.touched or {}
      end
      if sale.history then
        values = hmget(sale.history_key, customers)
        for i = 1, #customers do sale.history[customers[i]] = read_history(values[i]) end
      end
    end
  end
  values = hmget(sale.reservations_key, names)
  for i = 1, #names do records[names[i]] = values[i] end
  values = hmget(sale.used_key, customers)
  for i = 1, #customers do
    local units = values[i]
    used[customers[i]] = units and tonumber(units) or 0
  end
end

-- prefetch_each(reads): reads ahead for each sale of the batch.
local function prefetch_each(reads)
  if #KEYS + 1 < FIRST_KEY + 2 * KEYS_PER_SALE then return prefetch(sale_at(0), reads) end -- one sale
  local indexes, of_sale = REQUESTS[2], {}
  for i = 1, REQUESTS[1] do
    local numbers = of_sale[indexes[i]] or {}
    of_sale[indexes[i]] = numbers
    numbers[#numbers + 1] = i
  end
  for index, numbers in pairs(of_sale) do prefetch(sale_at(index), reads, numbers) end
end

-- run_batch(decide, reads, save): the reply of a verb.
--   decide(sale, ...)  a request's result; sale, then the request's fields after the sale's index
--   reads              which fields name what to read ahead: {name = of a record, customer =, lines =}, by their place in
--                      REQUESTS; may be nil. Everything else is read when it is needed, one by one.
--   save()             writes what changed: flush, unless another is given
-- The waiting list is served after each request, before the next is decided. A result that is the same table as the one
-- before it is answered once, with the number of each request's result.
local function run_batch(decide, reads, save)
  local refusal = closed()
  if refusal then return answer(refusal) end
  prefetch_each(reads or NO_FIELD)

  local count, indexes = REQUESTS[1], REQUESTS[2]
  local a, b, c, d = REQUESTS[3] or NO_FIELD, REQUESTS[4] or NO_FIELD, REQUESTS[5] or NO_FIELD, REQUESTS[6] or NO_FIELD
  local e, f, g, h = REQUESTS[7] or NO_FIELD, REQUESTS[8] or NO_FIELD, REQUESTS[9] or NO_FIELD, REQUESTS[10] or NO_FIELD
  local results, numbers, n, last = {}, {}, 0, nil
  for i = 1, count do
    local sale = SALES[indexes[i]]
    local result = decide(sale, a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i])
    if result ~= last then
      n = n + 1
      results[n], last = result, result
    end
    numbers[i] = n
    if sale.touched then serve_waiting(sale) end
  end
  if save then save() else flush() end
  return answer('', results, n < count and numbers or nil)
end
