-- Remove the consumers of processes that have ended and left nothing undone.
-- In one step, because removing a consumer drops what it has pending. A live one that is removed by
-- mistake comes back with its next read.
-- KEYS[1] stream; ARGV group, this consumer, idle milliseconds.
-- Returns how many were removed.
local removed = 0
for _, pairs_of in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #pairs_of, 2 do
    consumer[pairs_of[i]] = pairs_of[i + 1]
  end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
