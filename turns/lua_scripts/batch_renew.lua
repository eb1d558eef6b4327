-- Keep a batch for its feeder, or with a lease of 0 let go of it, and say how it stands; nothing when it is another's.
local id, epoch, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record = redis.call('HMGET', batch_key(id), 'epoch', 'status')
if record[1] ~= epoch then return false end
redis.call('ZADD', batch_leases_key(), 'XX', lease_ms > 0 and now_ms() + lease_ms or 0, id)
return record[2]
