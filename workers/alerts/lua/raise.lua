-- Raise an alert once: open its ledger and append its event, or do nothing if the ledger is there.
-- KEYS ledger, alerts stream; ARGV seconds to keep the ledger, stream length, number of ledger
-- arguments, those, then the fields of the event.
-- Returns 1 when it was raised now, else 0.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local split = 3 + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], unpack(ARGV, 4, split))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, split + 1))
return 1
