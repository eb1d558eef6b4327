-- Give a node a batch that nobody feeds, and with it an epoch that makes whatever an earlier feeder still wants void.
local lease_ms, now = tonumber(ARGV[1]), now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', batch_leases_key(), '-inf', now, 'LIMIT', 0, 10)) do
  if redis.call('EXISTS', batch_key(id)) == 1 then
    redis.call('ZADD', batch_leases_key(), now + lease_ms, id)
    redis.call('HINCRBY', batch_key(id), 'epoch', 1)
    return {id, redis.call('HGETALL', batch_key(id))}
  end
  redis.call('ZREM', batch_leases_key(), id)
end
return {}
