-- KEYS[1] stock; returns 1 when a unit was taken, else 0
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then
  redis.call('DECR', KEYS[1])
  return 1
end
return 0
