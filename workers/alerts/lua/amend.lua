-- Remember a group anew. KEYS group; ARGV JSON before, JSON after, seconds to keep.
-- Returns 1 when it is so, 0 when it was not as before.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
