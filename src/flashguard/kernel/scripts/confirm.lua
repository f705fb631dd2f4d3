#!lua
-- confirm: turns live holds into orders. A hold whose time has ended is given back instead.
--
-- KEYS      partition, journal, then sale, reservations, deadlines, used per sale (see lib/)
-- requests  {{sale index, id}, ...}
-- results   {'confirmed', customer, lines, created_ms, hold_ms, expires_ms, confirmed_ms, seq}: done now
--           {'as-it-is', seq}: it was confirmed before; its content is in the ledger once seq is recorded
--           {'reservation-released'} {'reservation-expired'} {'unknown-reservation'}

--@include lib/partition.lua
--@include lib/sales.lua
--@include lib/ending.lua

return end_holds(CONFIRMED, 'confirmed')
