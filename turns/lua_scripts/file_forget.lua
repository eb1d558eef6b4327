-- include: prelude
-- Delete the record of a file, or of an upload, and return its bytes to its owner. Arguments: id, owner.
local sizes = file_sizes_key(args.owner)
-- A file of an older release was not counted.
local size = redis.call('HGET', sizes, args.id)
if size then
  redis.call('HDEL', sizes, args.id)
  if redis.call('HINCRBY', sizes, 'total', -size) <= 0 then redis.call('DEL', sizes) end
end
redis.call('DEL', file_key(args.id))
redis.call('ZREM', files_key(args.owner), args.id)
redis.call('ZREM', file_expiries_key(), args.id)
redis.call('ZREM', uploads_key(args.owner), args.id)
