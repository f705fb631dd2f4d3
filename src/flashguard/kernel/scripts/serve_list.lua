#!lua
-- serve_list: serves the waiting list of a spread sale, whose entries are on the home shards of their customers. A recorder makes
-- rounds: every shard reports what it set aside, and tells which entries wait and what is free; the recorder finds who comes
-- first, moves units, and has each shard offer them to its entries. Whatever a round loses, or two rounds do at once, no unit is
-- offered twice, because an offer is a hold of units of the entry's own shard; and no unit is forgotten, because a round leaves to
-- the open sale only what is as the round has seen it. See lib/shard_list.lua.
--
-- KEYS      partition, journal, then the six of each sale, then five per room (see lib/)
-- requests  {{sale index, 'report', the counter after which to begin, most}, ...}
--           {{sale index, 'entries', group, unadmitted, most}, ...}
--           {{sale index, 'close', {counter, ...}, version}, ...}: sets their units aside
--           {{sale index, 'serve', {id, ...}, unadmitted}, ...}
--           {{sale index, 'settle', {counter, version, ...}, forget}, ...}
--           {{sale index, 'mark', sku, version}, ...}: an entry joined on another shard
--           {{sale index, 'count', sku, place}, ...}
-- results   {'reported', whether its waiting room is empty, {group, counter, version, ...}}; of an open sale
--           {'entries', whether any wait, newest place, ms of an offer, {place, id, sku, quantity, takes, ...}, up to which place
--           these are all}
--           {'closed', {counter, free, unsold, version, ...}}
--           {'served', count} {'settled'} {'marked'} {'counted', entries that wait, those of the item before the place}
--           {'unknown-sale'} {'sale-not-open', status}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/room_keys.lua

learn_waiting()

local STEPS = {}

function STEPS.report(sale, after, most)
  return {'reported', not sale.config.rules.room or no_ticket_in(sale), shard_list.report(sale, after ~= '' and after, most)}
end

function STEPS.entries(sale, group, unadmitted, most)
  local waits, rows, whole = shard_list.entries_of(sale, group, unadmitted, most)
  local last = record_of(sale, 'waiting-place')
  return {'entries', waits, last and last.newest or 0, shard_list.offer_ms(sale), rows, whole}
end

function STEPS.close(sale, counters, version)
  while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end
  for i = 1, #counters do shard_list.close(sale, counters[i], version) end
  return {'closed', shard_list.closed(sale, counters)}
end

function STEPS.serve(sale, ids, unadmitted)
  while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end
  return {'served', shard_list.serve(sale, ids, unadmitted)}
end

function STEPS.settle(sale, versions, forget)
  shard_list.settle(sale, versions, forget)
  return {'settled'}
end

local ANY_STATUS = {}

function ANY_STATUS.mark(sale, sku, version)
  shard_list.mark(sale, sku, version)
  return {'marked'}
end

function ANY_STATUS.count(sale, sku, place)
  return {'counted', waiting_count(sale), shard_list.before(sale, sku, place)}
end

local function decide(sale, step, ...)
  local config = sale.config
  if not config then return {'unknown-sale'} end
  if not config.rules.spread or not sale.touched then return {'unknown-sale'} end
  if ANY_STATUS[step] then return ANY_STATUS[step](sale, ...) end
  local status = status_now(config)
  if status ~= 'open' then return {'sale-not-open', status} end
  return STEPS[step](sale, ...)
end

return run_batch(decide)
