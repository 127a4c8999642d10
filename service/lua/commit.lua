-- Writes one step of one page: the new state, and its events onto the stream. All or nothing.
--
-- KEYS  1 lease, 2 meta, 3 entries, 4 events, 5 health, 6 history
-- ARGV  1 fencing token, 2 version before, 3 version after, 4 meta (JSON), 5 health (JSON),
--       6 about how many events the stream keeps,
--       7 about how many revisions the page keeps, 8 the oldest that it keeps (ms since 1970),
--       9 h, then h revisions for the history,
--       then n, and n pairs of entry id and JSON,
--       then for each event: m, then m field names and values in turn
-- Returns "committed"; "already" when this very step was written before (a retry after an unknown
-- outcome); "lease" when the page is not ours; "version" when another step came in between.
local version = redis.call('HGET', KEYS[2], 'version') or '0'
if version == ARGV[3] and redis.call('HGET', KEYS[2], 'meta') == ARGV[4] then
  return 'already'
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'lease'
end
if version ~= ARGV[2] then
  return 'version'
end

-- A foreign key in the place of one of ours is refused before anything is written.
for place, kind in pairs({[2] = 'hash', [3] = 'hash', [4] = 'stream', [6] = 'stream'}) do
  local found = redis.call('TYPE', KEYS[place]).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. KEYS[place] .. ' is no ' .. kind)
  end
end

local history = tonumber(ARGV[9])
local at = 10 + history
local entries = tonumber(ARGV[at])
local first_event = at + 1 + 2 * entries

local place = first_event
while place <= #ARGV do
  local count = tonumber(ARGV[place])
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*', unpack(ARGV, place + 1, place + count))
  place = place + 1 + count
end
for revision = 10, 9 + history do
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[7], '*', 'event', ARGV[revision])
end
if history > 0 then
  redis.call('XTRIM', KEYS[6], 'MINID', '~', ARGV[8])
end
for pair = at + 1, first_event - 1, 2 do
  redis.call('HSET', KEYS[3], ARGV[pair], ARGV[pair + 1])
end
redis.call('HSET', KEYS[2], 'version', ARGV[3], 'meta', ARGV[4])
redis.call('SET', KEYS[5], ARGV[5])
return 'committed'
