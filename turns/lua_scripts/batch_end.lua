-- include: prelude
-- End a batch and delete what only its runner needed.
-- Arguments: id, epoch, status, kept_seconds, fields (object: fields of the record to set).
-- Returns the status, or nothing when the batch has another runner.
local id, key = args.id, batch_key(args.id)
if tonumber(redis.call('HGET', key, 'epoch') or -1) ~= args.epoch then return false end
redis.call('HSET', key, 'status', args.status)
for name, value in pairs(args.fields) do redis.call('HSET', key, name, value) end
redis.call('ZREM', batch_leases_key(), id)
redis.call('SREM', active_batches_key(redis.call('HGET', key, 'owner')), id)
redis.call('DEL', batch_commits_key(id), batch_parts_key(id), batch_ended_key(id))
redis.call('EXPIRE', key, args.kept_seconds)
return args.status
