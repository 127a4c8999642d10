-- Takes the lease of a page that is followed and that nobody holds.
-- KEYS 1 lease, 2 fence, 3 pages    ARGV 1 time to live in ms, 2 page id
-- Returns a fencing token, higher than every earlier one, or 0.
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then
  return 0
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return token
