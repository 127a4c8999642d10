-- Lease alerts that are due on a channel to a worker.
-- KEYS queue, breaker; ARGV channel, key of a ledger but for the alert's id, how many at most, lease in
-- ms, holder, failures in a row after which the channel is open.
-- While it is open only what is past its deadline is given; once its pause is over also one probe.
-- Returns failures in a row, whether it is open (1 or 0), ms until it is worth asking again (-1: nothing
-- waits), how many wait, and for each alert: id, token, number of this try, event, its id, id of the
-- event last delivered, handle, event of a try without a known end, ms until the deadline, last reason,
-- whether it is the probe, whether the deadline is that of a replay.
local MOST_LOOKED_AT = 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local place, wanted, lease = ARGV[1] .. ':', tonumber(ARGV[3]), tonumber(ARGV[4])
local breaker = redis.call('HMGET', KEYS[2], 'failures', 'until')
local failures, open_until = tonumber(breaker[1] or 0), tonumber(breaker[2] or 0)
local open = failures >= tonumber(ARGV[6])
local may_probe = open and open_until <= now
local taken = {}

local function take(alert, ledger, found, deadline, is_probe)
  local latest_id, sending = found[2], found[7]
  local attempt = 1
  if found[9] == latest_id then
    attempt = tonumber(found[10] or 0) + 1
  end
  local token = redis.call('HINCRBY', ledger, place .. 'takes', 1)
  redis.call('HSET', ledger, place .. 'lease', token, place .. 'holder', ARGV[5],
    place .. 'state', 'sending', place .. 'trying', latest_id, place .. 'attempts', attempt)
  if sending then -- its worker died, or was too slow: nobody knows whether it was sent
    redis.call('HSET', ledger, place .. 'doubt', sending)
  end
  if found[12] ~= 'retracted' then -- to send a retraction tells nothing that is to be taken back
    redis.call('HSET', ledger, place .. 'sending', latest_id)
  end
  redis.call('ZADD', KEYS[1], now + lease, alert)
  taken[#taken + 1] = { alert, token, attempt, found[1], latest_id, found[5], found[6],
    sending or found[8], deadline - now, found[11], is_probe, found[4] and 1 or 0 }
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0,
  open and MOST_LOOKED_AT or wanted)
for _, alert in ipairs(due) do
  local ledger = ARGV[2] .. alert
  local found = redis.call('HMGET', ledger, 'latest', 'latest_id', 'deadline', place .. 'deadline',
    place .. 'told', place .. 'handle', place .. 'sending', place .. 'doubt', place .. 'trying',
    place .. 'attempts', place .. 'reason', 'state')
  local deadline = math.max(tonumber(found[3] or 0), tonumber(found[4] or 0))
  if not found[1] then
    redis.call('ZREM', KEYS[1], alert)
  elseif not open or deadline <= now then
    take(alert, ledger, found, deadline, 0)
  elseif may_probe then
    may_probe = false
    open_until = now + lease
    redis.call('HSET', KEYS[2], 'until', open_until)
    take(alert, ledger, found, deadline, 1)
  end
  if #taken == wanted then
    break
  end
end

local ahead = -1
if open and #due > 0 then
  ahead = math.max(0, open_until - now)
else
  local following = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if following[2] then
    ahead = following[2] - now
  end
end
return { failures, open and 1 or 0, ahead, redis.call('ZCARD', KEYS[1]), taken }
