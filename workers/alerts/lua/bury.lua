-- Give an alert up on a channel, once: settle its ledger and append a dead letter.
-- KEYS ledger, dead letters; ARGV channel, reason, seconds to keep the ledger, stream length, then the
-- fields of the letter, to which the number of tries is added.
-- Returns 1 when it was given up now, 0 when it was settled before.
local channel = ARGV[1]
local state = redis.call('HGET', KEYS[1], channel .. ':state')
if state == 'delivered' or state == 'dead' then
  return 0
end
local attempts = redis.call('HGET', KEYS[1], channel .. ':attempts') or '0'
redis.call('HSET', KEYS[1], channel .. ':state', 'dead', channel .. ':reason', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local fields = { unpack(ARGV, 5) }
fields[#fields + 1] = 'attempts'
fields[#fields + 1] = attempts
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
return 1
