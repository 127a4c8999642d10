-- Takes the lease of a page if nobody holds it.
-- KEYS 1 lease, 2 fence    ARGV 1 time to live in ms
-- Returns a fencing token, higher than every earlier one, or 0 when another poller holds the page.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return token
