-- Say something else of an alert that is held. KEYS held; ARGV alert, its event as held, and anew.
-- Returns 1 when that was done, 0 when something else is held of it, or nothing.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
