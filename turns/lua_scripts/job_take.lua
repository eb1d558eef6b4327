-- Give a node a job that nobody feeds, and with it an epoch that makes whatever an earlier feeder still wants void.
local lease_ms, now = tonumber(ARGV[1]), now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', job_leases_key(), '-inf', now, 'LIMIT', 0, 10)) do
  if redis.call('EXISTS', job_key(id)) == 1 then
    redis.call('ZADD', job_leases_key(), now + lease_ms, id)
    redis.call('HINCRBY', job_key(id), 'epoch', 1)
    return {id, redis.call('HGETALL', job_key(id))}
  end
  redis.call('ZREM', job_leases_key(), id)
end
return {}
