-- Say that this consumer still works on these messages: reset their idle time, so that nobody claims them.
-- Takes no message that another consumer has claimed meanwhile.
-- KEYS[1] stream; ARGV group, consumer, then message ids.
-- Returns how many are still held.
local held = 0
for i = 3, #ARGV do
  local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if #mine == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    held = held + 1
  end
end
return held
