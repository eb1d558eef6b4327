-- Ask for the end of a batch; its feeder hears of it when it next renews. Gives its status, nothing if it isn't there.
local id, owner, now = ARGV[1], ARGV[2], ARGV[3]
local record = redis.call('HMGET', batch_key(id), 'owner', 'status')
if record[1] ~= owner then return false end
if record[2] == 'validating' or record[2] == 'in_progress' then
  redis.call('HSET', batch_key(id), 'status', 'cancelling', 'cancelling_at', now)
  return 'cancelling'
end
return record[2]
