-- Name a node as a follower of a turn and read its log after an event, at one instant: nothing falls between.
-- Of a turn whose log is gone and whose answer is kept, it gives what the record says of its end.
local id, owner, node, after, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local watch_ms = tonumber(ARGV[6])

local record = redis.call('HMGET', turn_key(id), 'owner', 'status', 'seq', 'store')
if not record[1] or record[1] ~= owner then return {'response_not_found'} end
local live = record[2] == 'queued' or record[2] == 'in_progress'
if redis.call('EXISTS', log_key(id)) == 0 then
  if live or record[4] == '0' then return {'stream_expired'} end
  local kept = redis.call('HMGET', turn_key(id), 'status', 'error', 'response', 'output')
  return {'kept', tonumber(record[3]), kept[1], kept[2] or 'null', kept[3], kept[4] or ''}
end
if live then
  redis.call('SADD', followers_key(id), node)
  redis.call('EXPIRE', followers_key(id), redis.call('TTL', turn_key(id)))
  redis.call('ZADD', watches_key(), 'XX', now_ms() + watch_ms, id)
end
local events = {}
for _, entry in ipairs(redis.call('XRANGE', log_key(id), (after + 2) .. '-0', '+', 'COUNT', most)) do
  events[#events + 1] = entry[2][2]
end
return {live and 'live' or 'ended', tonumber(record[3]), events}
