-- end_holds(status, word, late): what confirm and release share. A table of transitions, in words:
--   held, in time    -> the status asked for
--   held, time ended -> expired (its units go back), answered reservation-expired
--   the same status  -> as it is, no second effect
--   another          -> refused with that status's own code
-- late(sale, id, record, grant): may answer for a hold that ended, or that memory does not know, before these
-- rules do; nil leaves it to them.
--@include lib/refusals.lua

local function ended_result(word, customer, lines, created_ms, hold_ms, expires_ms)
  return {word, customer, lines, created_ms, hold_ms, expires_ms, NOW, SEQ + 1}
end

local function end_hold(sale, id, record, status, word)
  finish(sale, id, record, status, NOW)
  return ended_result(word, record.customer, record.lines, record.created_ms, record.hold_ms, record.expires_ms)
end

local function end_holds(status, word, late)
  local function collect(want, id, grant)
    if not grant then return want_record(want, id) end
    local _, customer, lines = unpack(grant)
    want_record(want, id, customer, lines)
  end

  local function decide(sale, id, grant)
    local record = sale.records[id]
    local result = late and late(sale, id, record, grant)
    if result then return result end
    if not record then return {'unknown-reservation'} end
    local now = record.status
    if now == status then return {'as-it-is', unrecorded(record)} end
    if now ~= HELD then return {REFUSAL[now]} end
    if NOW >= record.expires_ms then
      finish(sale, id, record, EXPIRED, record.expires_ms)
      return {REFUSAL[EXPIRED]}
    end
    return end_hold(sale, id, record, status, word)
  end

  return run_batch(decide, collect)
end
