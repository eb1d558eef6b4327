-- include: prelude
-- Count the bytes of an upload that is under way as those of a file, so that uploads at the same time can't have more
-- than one after the other; repeated with the same id it changes them. They are given back by file_forget, or when the
-- upload's node has not called again within lapse_ms.
-- Arguments: id, owner, size (bytes to count), most (bytes of all files of the owner, 0: no limit), lapse_ms.
-- Returns ok or limited; then nothing has changed.
local sizes, uploads = file_sizes_key(args.owner), uploads_key(args.owner)
local now = now_ms()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', uploads, '-inf', now)) do
  redis.call('ZREM', uploads, id)
  redis.call('HINCRBY', sizes, 'total', -(redis.call('HGET', sizes, id) or 0))
  redis.call('HDEL', sizes, id)
end
local before = tonumber(redis.call('HGET', sizes, args.id) or 0)
local total = tonumber(redis.call('HGET', sizes, 'total') or 0) + args.size - before
if args.most > 0 and total > args.most then return 'limited' end
redis.call('HSET', sizes, args.id, args.size, 'total', total)
redis.call('ZADD', uploads, now + args.lapse_ms, args.id)
return 'ok'
