-- Writes a page's health, if the page is still ours: a page that was removed must stay so.
-- KEYS 1 lease, 2 health    ARGV 1 fencing token, 2 health (JSON)
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[2])
end
