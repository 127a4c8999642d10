-- Give back what was leased to a holder in an answer that never arrived: nothing of it was sent.
-- KEYS queue, breaker; ARGV channel, key of a ledger but for the alert's id, holder, then the ids that it
-- has in hand. Returns how many were given back.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local in_hand, released = {}, 0
for at = 4, #ARGV do
  in_hand[ARGV[at]] = true
end
for _, alert in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local ledger, place = ARGV[2] .. alert, ARGV[1] .. ':'
  if not in_hand[alert] and redis.call('HGET', ledger, place .. 'holder') == ARGV[3] then
    redis.call('HDEL', ledger, place .. 'lease', place .. 'holder', place .. 'sending')
    redis.call('HSET', ledger, place .. 'state', 'waiting')
    redis.call('HINCRBY', ledger, place .. 'attempts', -1)
    redis.call('ZADD', KEYS[1], now, alert)
    released = released + 1
  end
end
if released > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSET', KEYS[2], 'until', now) -- the probe may have been among them
end
return released
