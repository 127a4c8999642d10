-- Hold a group on until later. KEYS held, due; ARGV place, token, due (ms).
-- Returns 1 when that was done, 0 when the group is another one or closed.
if redis.call('HGET', KEYS[1], ':token') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ':due', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
