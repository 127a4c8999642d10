-- Raise an alert once: open its ledger, append its event and put it into the queue of each channel.
-- KEYS ledger, group, alerts stream, queues; ARGV id of the alert, seconds to keep the ledger, length of
-- the stream (0: append nothing), id, time, deadline in ms and JSON of the event, whether an earlier one
-- that was retracted is forgotten (1 or 0), number of further ledger arguments, those, then the fields of
-- the event.
-- Returns whether it was raised now (1 or 0), and the JSON of a change that came before it, if any.
local found = redis.call('HMGET', KEYS[1], 'early', 'early_time')
-- One that is older than what raises it was handled in its turn: it bears on nothing.
local early = found[2] and found[2] >= ARGV[5] and found[1]
local state = redis.call('HGET', KEYS[1], 'state')
if state and ARGV[8] == '1' and (state == 'retracted' or state == 'grouped') then
  redis.call('DEL', KEYS[1], KEYS[2])
elseif state then
  return { 0, early }
end
local split = 9 + tonumber(ARGV[9])
redis.call('HSET', KEYS[1], 'state', 'raised', 'latest_id', ARGV[4], 'latest_time', ARGV[5],
  'deadline', ARGV[6], 'latest', ARGV[7], unpack(ARGV, 10, split))
redis.call('EXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '0' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, split + 1))
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 4, #KEYS do
  redis.call('ZADD', KEYS[at], 'NX', now, ARGV[1])
  redis.call('EXPIRE', KEYS[at], ARGV[2])
end
return { 1, early }
