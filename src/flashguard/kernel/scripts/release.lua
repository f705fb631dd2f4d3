#!lua
-- release: releases live holds; their units are available again.
--
-- KEYS      partition, journal, then the six of each sale (see lib/)
-- requests  {{sale index, id}, ...}
-- results   {'released', customer, lines, created_ms, hold_ms, expires_ms, released_ms, seq, more, takes}: done now; more
--           and takes as in confirm.lua
--           {'as-it-is', seq}: it was released before; its content is in the ledger once seq is recorded
--           {'reservation-confirmed'} {'reservation-cancelled'} {'reservation-expired'} {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/batch.lua
--@include lib/ending.lua

return end_each(RELEASED, 'released')
