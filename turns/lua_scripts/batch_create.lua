-- Make a batch, to be taken by whichever node looks first. Made twice under one id it is one batch. ARGV after the fourth:
-- fields and values.
local id, owner, now, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HMGET', batch_key(id), 'owner', 'body')
if known[1] then return known[2] == body and 'known' or 'idempotency_key_reused' end
redis.call('HSET', batch_key(id), 'owner', owner, 'status', 'validating', 'body', body, unpack(ARGV, 5))
redis.call('ZADD', batches_key(owner), now, id)
redis.call('ZADD', batch_leases_key(), 0, id)
return 'ok'
