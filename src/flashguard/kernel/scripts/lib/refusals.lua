-- The refusal of a request for a live hold, by the status of one that has ended.
local REFUSAL = {[CONFIRMED] = 'reservation-confirmed', [RELEASED] = 'reservation-released', [EXPIRED] = 'reservation-expired',
  [CANCELLED] = 'reservation-cancelled'}
