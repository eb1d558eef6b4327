-- Make a job, to be taken by whichever node looks first. Made twice under one id it is one job. ARGV after the fourth:
-- fields and values.
local id, owner, now, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HMGET', job_key(id), 'owner', 'body')
if known[1] then return known[2] == body and 'known' or 'idempotency_key_reused' end
redis.call('HSET', job_key(id), 'owner', owner, 'status', 'validating', 'body', body, unpack(ARGV, 5))
redis.call('ZADD', jobs_key(owner), now, id)
redis.call('ZADD', job_leases_key(), 0, id)
return 'ok'
