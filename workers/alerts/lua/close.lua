-- Let a group take no more: from now on it is as it is, whoever raises it. It stays due.
-- KEYS held, closing; ARGV token.
-- Returns 1 when it is closed, 0 when it is another one, or one is closing.
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('HGET', KEYS[1], ':token') ~= ARGV[1] then
  return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
