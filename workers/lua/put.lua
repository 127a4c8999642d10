-- Put a field into a hash, unless there are too many.
-- KEYS hash; ARGV field, value, how many there may be.
-- Returns 1 when it is new, 0 when it took the place of the one before, -1 when there are too many.
local is_known = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if not is_known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  return -1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return is_known and 0 or 1
