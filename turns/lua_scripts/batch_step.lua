-- include: prelude
-- Move a batch to its next status, if its status is the expected one. A repeated call finds it moved already.
-- Arguments: id, epoch, from, to (statuses), fields (object: fields of the record to set with it).
-- Returns the batch's status after the call, or nothing when it has another runner.
local key = batch_key(args.id)
local record = read_fields(key, 'epoch', 'status')
if tonumber(record.epoch) ~= args.epoch then return false end
if record.status ~= args.from then return record.status end
redis.call('HSET', key, 'status', args.to)
for name, value in pairs(args.fields) do redis.call('HSET', key, name, value) end
return args.to
