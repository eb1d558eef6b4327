-- include: prelude
-- Request the cancellation of a batch; its runner learns of it when it renews its lease.
-- Arguments: id, owner, now (seconds). Returns the batch's status, or nothing if the owner has no such batch.
local key = batch_key(args.id)
local record = read_fields(key, 'owner', 'status')
if record.owner ~= args.owner then return false end
if record.status == 'validating' or record.status == 'in_progress' then
  redis.call('HSET', key, 'status', 'cancelling', 'cancelling_at', args.now)
  return 'cancelling'
end
return record.status
