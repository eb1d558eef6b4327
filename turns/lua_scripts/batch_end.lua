-- include: webhooks
-- End a batch, announce its end, and delete what only its runner needed.
-- Arguments: id, epoch, status, kept_seconds, fields (object: fields of the record to set).
-- Returns the status, or nothing when the batch has another runner.
local id, key = args.id, batch_key(args.id)
local record = read_fields(key, 'epoch', 'owner', 'status')
if tonumber(record.epoch) ~= args.epoch then return false end
redis.call('HSET', key, 'status', args.status)
for name, value in pairs(args.fields) do redis.call('HSET', key, name, value) end
redis.call('ZREM', batch_leases_key(), id)
redis.call('SREM', active_batches_key(record.owner), id)
redis.call('DEL', batch_commits_key(id), batch_parts_key(id), batch_ended_key(id))
redis.call('EXPIRE', key, args.kept_seconds)
-- A repeated call, whose first reply was lost, finds the end announced.
if record.status ~= args.status then announce_end(record.owner, 'batch.' .. args.status, id) end
return args.status
