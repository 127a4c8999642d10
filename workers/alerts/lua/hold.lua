-- Hold an alert, unless it was raised or silenced, is held or about to be raised.
-- KEYS held, closing, due, ledger, group; ARGV place, alert, its event, due (ms), token, rule, id of a change
-- that came before the alert ("" for none), whether an earlier one that was retracted is forgotten (1, 0).
-- Returns 1 when it is held, 0 when it is to be decided on anew.
local state = redis.call('HGET', KEYS[4], 'state')
local is_over = ARGV[8] == '1' and (state == 'retracted' or state == 'grouped')
if state and not is_over or redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1
    or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1
    or (redis.call('HGET', KEYS[4], 'early_id') or '') ~= ARGV[7] then
  return 0
end
if is_over then
  redis.call('DEL', KEYS[4], KEYS[5])
end
redis.call('HDEL', KEYS[4], 'early', 'early_id', 'early_time')
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], ':token', ARGV[5], ':rule', ARGV[6], ':due', ARGV[4])
  -- What is closing stays due; `finish` puts the new time.
  redis.call('ZADD', KEYS[3], 'NX', ARGV[4], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
