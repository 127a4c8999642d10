-- Update or retract an alert that stands, once for each event.
-- KEYS ledger, alerts stream; ARGV seconds to keep the ledger, stream length, the new state, the id
-- of the event, n, n states that it may come from, then the fields of the event.
-- Returns the state that it was in; "" when there is no such alert, "done" when this event has had
-- its effect before.
local before = redis.call('HGET', KEYS[1], 'state')
if not before then
  return ''
end
local place = 'done:' .. ARGV[4]
if redis.call('HEXISTS', KEYS[1], place) == 1 then
  return 'done'
end
local split = 5 + tonumber(ARGV[5])
for at = 6, split do
  if ARGV[at] == before then
    local number = redis.call('HINCRBY', KEYS[1], 'changes', 1)
    redis.call('HSET', KEYS[1], 'state', ARGV[3], place, number)
    redis.call('EXPIRE', KEYS[1], ARGV[1])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, split + 1))
    break
  end
end
return before
