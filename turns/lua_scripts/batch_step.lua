-- Move a batch to its next status, if it stands where its feeder believes. ARGV after the fourth: fields and values.
-- A repeated call finds it moved already, which is as good.
local id, epoch, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record = redis.call('HMGET', batch_key(id), 'epoch', 'status')
if record[1] ~= epoch then return false end
if record[2] == from then
  redis.call('HSET', batch_key(id), 'status', to)
  if #ARGV > 4 then redis.call('HSET', batch_key(id), unpack(ARGV, 5)) end
  return to
end
return record[2]
