-- include: prelude
-- Do a little of all that turns need: write a key, publish, look at keys. A Redis that can't take a turn then says why:
-- a replica, a full memory, a disk that failed, a user without permission. What is written expires at once.
-- Arguments: keys (list): keys of Celery, without the prefix, to look at.
redis.call('SET', probe_key(), '', 'PX', 1)
redis.call('PUBLISH', probe_key(), '')
for _, key in ipairs(args.keys) do redis.call('EXISTS', PREFIX .. key) end
