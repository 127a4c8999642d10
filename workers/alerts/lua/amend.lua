-- Remember a group anew. KEYS group; ARGV JSON before, JSON after, seconds to keep.
-- Returns 1 when it is so, 0 when it was not as before.
local now = redis.call('GET', KEYS[1])
if now ~= ARGV[1] and now ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
