-- Say that leases are still worked on, so that nobody else takes them.
-- KEYS queue; ARGV channel, key of a ledger but for the alert's id, lease in ms, then id and token of each.
-- Returns the ids of those that were lost.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lost = {}
for at = 4, #ARGV, 2 do
  if redis.call('HGET', ARGV[2] .. ARGV[at], ARGV[1] .. ':lease') == ARGV[at + 1] then
    redis.call('ZADD', KEYS[1], 'XX', now + ARGV[3], ARGV[at])
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost
