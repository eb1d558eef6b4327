-- include: prelude
-- Renew the watches of turns that are not stored and have a reader at this node. Arguments: ids (list), watch_ms (how
-- long they go on unless the watch is renewed).
local deadline = now_ms() + args.watch_ms
for _, id in ipairs(args.ids) do redis.call('ZADD', watches_key(), 'XX', deadline, id) end
