-- Say something else of an alert that is held. KEYS held; ARGV alert, its event.
-- Returns 1 when that was done, 0 when it is not held any more.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
