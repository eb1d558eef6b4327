-- End a job: nobody feeds it any more, and what only its feeder needed goes. ARGV after the fifth: fields and values.
local id, epoch, status, kept_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', job_key(id), 'epoch') ~= epoch then return false end
redis.call('HSET', job_key(id), 'status', status, unpack(ARGV, 5))
redis.call('ZREM', job_leases_key(), id)
redis.call('DEL', job_marks_key(id), job_parts_key(id), job_ended_key(id))
redis.call('EXPIRE', job_key(id), kept_seconds)
return status
