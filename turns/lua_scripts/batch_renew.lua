-- include: prelude
-- Renew a runner's lease of a batch, or with a lease of 0 release the batch.
-- Arguments: id, epoch, lease_ms. Returns the batch's status, or nothing when it has another runner.
local record = read_fields(batch_key(args.id), 'epoch', 'status')
if tonumber(record.epoch) ~= args.epoch then return false end
redis.call('ZADD', batch_leases_key(), 'XX', args.lease_ms > 0 and now_ms() + args.lease_ms or 0, args.id)
return record.status
