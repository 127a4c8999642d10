-- Record a try before it is made, unless the alert is settled on this channel.
-- KEYS ledger; ARGV channel, time, seconds to keep the ledger, field of the channel's handle.
-- Returns the state (sending, delivered, dead), the number of tries so far and the handle, if any.
local channel = ARGV[1]
local state = redis.call('HGET', KEYS[1], channel .. ':state')
local handle = redis.call('HGET', KEYS[1], ARGV[4])
if state == 'delivered' or state == 'dead' then
  return { state, tonumber(redis.call('HGET', KEYS[1], channel .. ':attempts') or 0), handle }
end
local attempt = redis.call('HINCRBY', KEYS[1], channel .. ':attempts', 1)
redis.call('HSET', KEYS[1], channel .. ':state', 'sending', channel .. ':sending_at', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return { 'sending', attempt, handle }
