-- Forget an alert that was retracted, so that its entry can raise another. KEYS ledger, group.
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'retracted' or state == 'grouped' then
  redis.call('DEL', KEYS[1], KEYS[2])
end
return 1
