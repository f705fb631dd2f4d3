-- What a request is answered that wants a live hold and finds one that has ended, by its status.
local REFUSAL = {[CONFIRMED] = 'reservation-confirmed', [RELEASED] = 'reservation-released', [EXPIRED] = 'reservation-expired',
  [CANCELLED] = 'reservation-cancelled'}
