-- What amend and cancel share: the order that a request is about, and its key.
--
-- order     {fingerprint, customer, lines, revision, takes where they are not the lines, identities and prices if any}, by these
--           names, as the ledger has the order: memory keeps only its fingerprint and its revision, the number of its amends. So a request that read the
--           ledger before the newest amend was recorded changes nothing.
--
-- A key's record has what the request made of the reservation, so that an operator's choice for memory finds it there.

local REVISIONS_MOST = 100 -- of one reservation; bounds the keys that memory keeps

-- used_before(sale, key, body): the result of a key that was used before; nil of a new one.
local function used_before(sale, key, body)
  local known = record_of(sale, key)
  if not known then return nil end
  if known.fingerprint ~= body then return {'idempotency-mismatch'} end
  return {'as-it-is', unrecorded(known)}
end

-- not_that_order(record, order): why this is no order, or not as the request has it, as a result; nil where it is.
local function not_that_order(record, order)
  if record.status == HELD then return {'reservation-held'} end
  if record.status ~= CONFIRMED or not order then return {REFUSAL[record.status]} end
  if record.fingerprint ~= order.fingerprint then return {'idempotency-mismatch'} end
  if revision_of(record) ~= order.revision then return {'amended-since', unrecorded(record)} end
  return nil
end

-- note_key(sale, id, key, body, revision, customer, lines, details): keeps the key, so that it changes nothing a second time.
local function note_key(sale, id, key, body, revision, customer, lines, details)
  put_record(sale, key, {kind = 'amend', fingerprint = body, id = id, revision = revision, seq = SEQ + 1,
    customer = customer, lines = lines, details = details})
end
