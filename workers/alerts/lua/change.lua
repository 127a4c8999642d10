-- Update or retract an alert that stands, once for each event, and put it into each channel's queue.
-- KEYS ledger, alerts stream, queues; ARGV id of the alert, seconds to keep the ledger, length of the
-- stream, id, time, deadline in ms and JSON of the event, the new state, n, n states that it may come
-- from, m, names of the channels of the last m queues, then the fields of the event.
-- The last m channels hear of it only where they have had to do with the alert.
-- Returns the state that it was in; "" when there is no such alert, "done" when this event has had
-- its effect before, "stale" when it is older than the newest one.
local before = redis.call('HGET', KEYS[1], 'state')
if not before then
  return ''
end
local place = 'done:' .. ARGV[4]
if redis.call('HEXISTS', KEYS[1], place) == 1 then
  return 'done'
end
-- Times have one form, so they compare as text. A retraction is the last word whenever it comes, but for
-- one of before the alert: its entry has come to match since.
local latest = redis.call('HGET', KEYS[1], ARGV[8] == 'updated' and 'latest_time' or 'seen_at')
if latest and ARGV[5] < latest then
  return 'stale'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = 9 + tonumber(ARGV[9])
local others = tonumber(ARGV[last + 1])
for from = 10, last do
  if ARGV[from] == before then
    redis.call('HSET', KEYS[1], 'state', ARGV[8], 'latest_id', ARGV[4], 'latest_time', ARGV[5],
      'deadline', ARGV[6], 'latest', ARGV[7], place, '1')
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, last + 2 + others))
    for at = 3, #KEYS do
      local other = at - (#KEYS - others)
      if other <= 0 or redis.call('HEXISTS', KEYS[1], ARGV[last + 1 + other] .. ':state') == 1 then
        -- One that waits there goes on waiting: what is sent then is the newest.
        redis.call('ZADD', KEYS[at], 'NX', now, ARGV[1])
        redis.call('EXPIRE', KEYS[at], ARGV[2])
      end
    end
    break
  end
end
return before
