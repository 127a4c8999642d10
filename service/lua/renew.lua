-- Keeps a lease that is still ours; with a time to live of 0 gives it back.
-- KEYS 1 lease    ARGV 1 fencing token, 2 time to live in ms
-- Returns 1, or 0 when it is not ours any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
