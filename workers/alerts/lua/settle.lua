-- End a lease with what came of it, once: whoever has lost it changes nothing.
-- KEYS queue, ledger, breaker, dead letters; ARGV channel, id of the alert, token, id of the event,
-- outcome (delivered, failed, dead, dropped), number of tries, reason, ms until the next try, whether
-- the try may have been taken all the same (1 or 0), how the try went (well, badly; "" when none was
-- made), whether it was the probe (1 or 0), failures in a row after which the channel is open, ms of its
-- pause, time, handle ("": as it was), lag in ms, length of the dead letters, then their fields.
-- Returns what was done (delivered, failed, dead, dropped, superseded; lost: nothing), the same again
-- when it is asked again; and what became of the channel (opened, closed, "").
local ledger, place, event = KEYS[2], ARGV[1] .. ':', ARGV[4]
if redis.call('HGET', ledger, place .. 'lease') ~= ARGV[3] then
  if redis.call('HGET', ledger, place .. 'settled') == ARGV[3] then
    return { redis.call('HGET', ledger, place .. 'outcome'), '' }
  end
  return { 'lost', '' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local outcome, went, is_probe = ARGV[5], ARGV[10], ARGV[11] == '1'
local is_superseded = redis.call('HGET', ledger, 'latest_id') ~= event

local function set(...)
  local fields = { ... }
  for at = 1, #fields, 2 do
    fields[at] = place .. fields[at]
  end
  redis.call('HSET', ledger, unpack(fields))
end

local function clear(...)
  for _, field in ipairs({ ... }) do
    redis.call('HDEL', ledger, place .. field)
  end
end

clear('lease', 'holder', 'sending')
set('attempts', ARGV[6])
if ARGV[9] == '1' then
  set('doubt', event)
end
if outcome == 'delivered' then
  set('state', 'delivered', 'told', event, 'delivered_at', ARGV[14], 'lag_ms', ARGV[16])
  clear('doubt', 'reason', 'deadline')
  if ARGV[15] ~= '' then
    set('handle', ARGV[15])
  end
elseif outcome == 'failed' then
  set('state', 'waiting', 'reason', ARGV[7])
elseif outcome == 'dead' and is_superseded then
  outcome = 'superseded'
  set('reason', ARGV[7])
elseif outcome == 'dead' then
  set('state', 'dead', 'reason', ARGV[7])
  clear('deadline')
  local letter = { unpack(ARGV, 18) }
  letter[#letter + 1] = 'attempts'
  letter[#letter + 1] = ARGV[6]
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[17], '*', unpack(letter))
else
  set('state', 'untold')
  clear('reason', 'deadline')
end
set('settled', ARGV[3], 'outcome', outcome)

if outcome == 'failed' then
  redis.call('ZADD', KEYS[1], now + ARGV[8], ARGV[2])
elseif is_superseded then
  set('state', 'waiting')
  redis.call('ZADD', KEYS[1], now, ARGV[2])
else
  redis.call('ZREM', KEYS[1], ARGV[2])
end

local trip, became = tonumber(ARGV[12]), ''
local failures = tonumber(redis.call('HGET', KEYS[3], 'failures') or 0)
if went == 'well' then
  redis.call('DEL', KEYS[3])
  became = failures >= trip and 'closed' or ''
elseif went == 'badly' and (failures < trip or is_probe) then
  failures = redis.call('HINCRBY', KEYS[3], 'failures', 1)
  redis.call('EXPIRE', KEYS[3], 86400)
  if failures >= trip then
    redis.call('HSET', KEYS[3], 'until', now + ARGV[13])
    became = failures == trip and 'opened' or ''
  end
elseif went == '' and is_probe then
  redis.call('HSET', KEYS[3], 'until', now)
end
return { outcome, became }
