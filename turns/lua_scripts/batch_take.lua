-- include: prelude
-- Give a node a batch that has no runner, with a new epoch, which invalidates the calls of an earlier runner.
-- A batch whose record a newer release wrote is left to nodes of that release.
-- Arguments: lease_ms. Returns {id, flat record}, or {} when there is none.

-- Batches looked at in one call.
local MAX_READ = 100

local now = now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', batch_leases_key(), '-inf', now, 'LIMIT', 0, MAX_READ)) do
  local record = read_fields(batch_key(id), 'owner', 'version')
  if not record.owner then
    redis.call('ZREM', batch_leases_key(), id)
  elseif not is_newer(record) then
    redis.call('ZADD', batch_leases_key(), now + args.lease_ms, id)
    redis.call('HINCRBY', batch_key(id), 'epoch', 1)
    return {id, redis.call('HGETALL', batch_key(id))}
  end
end
return {}
