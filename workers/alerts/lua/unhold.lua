-- Let an alert that is held go, and clear up where none is left.
-- KEYS held, closing, due; ARGV place, alert ("" only clears up), its event as held.
-- Returns 1 when that was done, 0 when something else is held of it, or nothing.
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[2])
if redis.call('HLEN', KEYS[1]) <= 3 then -- :token, :rule and :due
  redis.call('DEL', KEYS[1])
  if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('ZREM', KEYS[3], ARGV[1])
  end
end
return 1
