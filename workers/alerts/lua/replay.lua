-- Put a dead alert back into the queue of its channel, with a deadline of its own, and remove its letter.
-- KEYS queue, ledger, dead letters; ARGV channel, id of the alert, id of the letter, type of its event, ms
-- until the deadline, seconds to keep the ledger.
-- Returns replayed, or why not: unknown (no such letter any more), forgotten (no ledger any more),
-- retracted (meanwhile), told (the channel has had the newest).
if #redis.call('XRANGE', KEYS[3], ARGV[3], ARGV[3]) == 0 then
  return 'unknown'
end
local place = ARGV[1] .. ':'
local found = redis.call('HMGET', KEYS[2], 'state', 'latest_id', place .. 'told', place .. 'lease')
if not found[1] then
  return 'forgotten'
elseif found[1] == 'retracted' and ARGV[4] ~= 'stoppress.alert.retracted' then
  return 'retracted'
elseif found[2] == found[3] then
  return 'told'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], place .. 'deadline', now + ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[6])
if not found[4] then
  redis.call('HSET', KEYS[2], place .. 'state', 'waiting')
  redis.call('HDEL', KEYS[2], place .. 'trying')
  redis.call('ZADD', KEYS[1], now, ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[6])
end
redis.call('XDEL', KEYS[3], ARGV[3])
return 'replayed'
