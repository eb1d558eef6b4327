-- include: prelude
-- Note that turns which are not stored have a reader at this node. Arguments: ids (list), watch_ms (how long they go
-- on without being watched again).
local deadline = now_ms() + args.watch_ms
for _, id in ipairs(args.ids) do redis.call('ZADD', watches_key(), 'XX', deadline, id) end
