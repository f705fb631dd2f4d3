-- end_each(status, word, late): the reply of confirm and of release. The transitions of a hold:
--   held, before its end  -> the status asked for
--   held, past its end    -> expired, answered reservation-expired
--   the same status       -> no second effect
--   another status        -> refused with that status's own code
-- late(sale, id, record, grant) may answer first for a hold that expired or that memory does not have; nil: it does not.
--@include lib/refusals.lua

local function ended_result(word, customer, lines, created_ms, hold_ms, expires_ms, more, takes, prices)
  takes = allocated(takes)
  return {word, customer, lines, created_ms, hold_ms, expires_ms, NOW, SEQ + 1, more or (takes or prices) and false,
    takes or prices and false, prices}
end

local function end_now(sale, id, record, status, word)
  end_hold(sale, id, record, status, NOW)
  return ended_result(word, record.customer, record.lines, record.created_ms, record.hold_ms, record.expires_ms,
    record.kept and record.kept.more, record.takes, terms_seen and learn_prices().of(sale, record) or nil)
end

local function end_each(status, word, late)
  local function decide(sale, id, grant)
    local record = record_of(sale, id)
    local result = late and late(sale, id, record, grant)
    if result then return result end
    if not record then return unknown_reservation(sale) end
    local now = record.status
    if now == status then return {'as-it-is', unrecorded(record)} end
    if now ~= HELD then return {REFUSAL[now]} end
    if NOW >= record.expires_ms then
      end_hold(sale, id, record, EXPIRED, record.expires_ms)
      return {REFUSAL[EXPIRED]}
    end
    return end_now(sale, id, record, status, word)
  end

  return run_batch(decide, {name = 3})
end
