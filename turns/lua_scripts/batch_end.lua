-- End a batch: nobody feeds it any more, and what only its feeder needed goes. ARGV after the fifth: fields and values.
local id, epoch, status, kept_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', batch_key(id), 'epoch') ~= epoch then return false end
redis.call('HSET', batch_key(id), 'status', status, unpack(ARGV, 5))
redis.call('ZREM', batch_leases_key(), id)
redis.call('DEL', batch_commits_key(id), batch_parts_key(id), batch_ended_key(id))
redis.call('EXPIRE', batch_key(id), kept_seconds)
return status
