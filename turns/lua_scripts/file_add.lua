-- include: prelude
-- Add a file's record and count its bytes, unless its owner would have too many. Repeated with the same id it counts it
-- once.
-- Arguments: id, owner, created_at, expires_at (seconds), size (bytes to count), most (bytes of all files of the owner,
--   0: no limit), fields (object: the record).
-- Returns ok or limited.
local sizes = file_sizes_key(args.owner)
local before = tonumber(redis.call('HGET', sizes, args.id) or 0)
local total = tonumber(redis.call('HGET', sizes, 'total') or 0) + args.size - before
if args.most > 0 and total > args.most then return 'limited' end
redis.call('HSET', sizes, args.id, args.size, 'total', total)
redis.call('ZREM', uploads_key(args.owner), args.id)
for name, value in pairs(args.fields) do redis.call('HSET', file_key(args.id), name, value) end
redis.call('ZADD', files_key(args.owner), args.created_at, args.id)
redis.call('ZADD', file_expiries_key(), args.expires_at, args.id)
return 'ok'
