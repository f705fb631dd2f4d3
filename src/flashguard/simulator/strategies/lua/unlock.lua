-- KEYS[1] lock, ARGV[1] our token: only the owner unlocks
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
