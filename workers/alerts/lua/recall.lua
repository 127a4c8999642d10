-- What is known of an alert, all of one moment.
-- KEYS ledger, group, held, closing; ARGV id of the alert.
-- Returns five fields of the ledger, the JSON of the group, the event that is held of it, whether it is
-- about to be raised (1 or 0), and when what is held there is due (ms).
return {
  redis.call('HMGET', KEYS[1], 'state', 'event', 'latest_time', 'group', 'early'),
  redis.call('GET', KEYS[2]),
  redis.call('HGET', KEYS[3], ARGV[1]),
  redis.call('HEXISTS', KEYS[4], ARGV[1]),
  redis.call('HGET', KEYS[3], ':due'),
}
