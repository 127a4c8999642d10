-- Forget a group that was raised, and remember of each part what it was raised as part of.
-- KEYS closing, held, due, group, ledgers of all parts but the first; ARGV place, token, seconds to
-- keep, JSON of the group ("" for none), the group's alert, rule, time, then the event of each part.
-- Returns 1 when that was done, 0 when it was done before.
if redis.call('HGET', KEYS[1], ':token') ~= ARGV[2] then
  return 0
end
for at = 5, #KEYS do
  if redis.call('HEXISTS', KEYS[at], 'state') == 0 then
    redis.call('HSET', KEYS[at], 'state', 'grouped', 'event', ARGV[at + 3], 'rule', ARGV[6],
      'group', ARGV[5], 'raised_at', ARGV[7])
    redis.call('EXPIRE', KEYS[at], ARGV[3])
  end
end
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[4], ARGV[4], 'EX', ARGV[3], 'NX')
end
redis.call('DEL', KEYS[1])
local due = redis.call('HGET', KEYS[2], ':due')
if due then
  redis.call('ZADD', KEYS[3], due, ARGV[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return 1
