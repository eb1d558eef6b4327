-- Say that turns which are not stored still have a reader here. ARGV: grace in milliseconds, then ids.
local deadline = now_ms() + tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', watches_key(), 'XX', deadline, ARGV[i]) end
