-- The frame of a verb: checks that the partition may decide, reads all that the batch names, decides request by request,
-- writes what changed, and answers.

-- want_sku(want, sku), want_record(want, name, customer, lines): what a batch will read of a sale; customer and lines may
-- be nil. Few items, many buyers: a sku is read once, while an id or a customer named twice is simply read twice.
local function want_sku(want, sku)
  if not want.has_sku[sku] then
    want.has_sku[sku] = true
    want.skus[#want.skus + 1] = sku
  end
end

local function want_record(want, name, customer, lines)
  want.names[#want.names + 1] = name
  if customer then want.customers[#want.customers + 1] = customer end
  for i = 1, lines and #lines or 0, 2 do want_sku(want, lines[i]) end
end

-- prefetch(index, want): the sale's config, and all that its requests name, in four commands at most.
local function prefetch(index, want)
  local sale = sale_at(index)
  local skus, names, customers = want.skus, want.names, want.customers
  local fields = {'config'}
  for i = 1, #skus do fields[i + 1] = 'item:' .. skus[i] end
  local values = hmget(sale.key, fields)
  if values[1] then
    sale.config = read_config(values[1])
    local rules = sale.config.rules
    if rules ~= NO_RULES then
      count_history(sale)
      if rules.waiting_most then
        learn_waiting()
        sale.touched = sale.touched or {}
      end
    end
  end
  for i = 1, #skus do
    local text = values[i + 1]
    sale.items[skus[i]] = text and read_item(text) or false
  end
  values = hmget(sale.reservations_key, names)
  for i = 1, #names do sale.records[names[i]] = read_record(values[i]) end
  values = hmget(sale.used_key, customers)
  for i = 1, #customers do sale.used[customers[i]] = tonumber(values[i] or 0) end
  if sale.history then
    values = hmget(sale.history_key, customers)
    for i = 1, #customers do sale.history[customers[i]] = read_history(values[i]) end
  end
end

-- run_batch(decide, collect, save): the reply of a verb.
--   decide(sale, ...)   a request's result; sale, then the request's fields after the sale's index
--   collect(want, ...)  what the request reads beside the sale's config, named by the two above; may be nil
--   save()              writes what changed: flush, unless another is given
-- The waiting list is served after each request, before the next is decided.
local function run_batch(decide, collect, save)
  local refusal = closed()
  if refusal then return answer(refusal) end
  local wants = {}
  for i = 1, #REQUESTS do
    local request = REQUESTS[i]
    local index = request[1]
    local want = wants[index]
    if not want then
      want = {skus = {}, has_sku = {}, names = {}, customers = {}}
      wants[index] = want
    end
    if collect then collect(want, unpack(request, 2)) end
  end
  for index, want in pairs(wants) do prefetch(index, want) end

  local results = {}
  for i = 1, #REQUESTS do
    local request = REQUESTS[i]
    local sale = SALES[request[1]]
    results[i] = decide(sale, unpack(request, 2))
    if sale.touched then serve_waiting(sale) end
  end
  if save then save() else flush() end
  return answer('', results)
end
