-- Remember a change of an alert that is not raised yet: whoever was to raise it is late, or has died.
-- KEYS ledger, held, closing; ARGV id of the alert, id, time, deadline in ms and JSON of the event.
-- Returns 1 when what is newest is remembered, 0 when the alert was raised or silenced, or is held.
if redis.call('HEXISTS', KEYS[1], 'state') == 1 or redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1
    or redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then
  return 0
end
local early = redis.call('HGET', KEYS[1], 'early_time')
if not early or early <= ARGV[3] then
  redis.call('HSET', KEYS[1], 'early', ARGV[5], 'early_id', ARGV[2], 'early_time', ARGV[3])
  redis.call('PEXPIREAT', KEYS[1], ARGV[4]) -- too old by then
end
return 1
