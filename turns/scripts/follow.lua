-- Name a node as a follower of a turn and read its log after an event, at one instant: nothing falls between.
local id, owner, node, after, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local record = redis.call('HMGET', turn_key(id), 'owner', 'status', 'seq')
if not record[1] or record[1] ~= owner then return {'response_not_found'} end
local live = record[2] == 'queued' or record[2] == 'in_progress'
if redis.call('EXISTS', log_key(id)) == 0 then return {'stream_expired'} end
if live then
  redis.call('SADD', followers_key(id), node)
  redis.call('EXPIRE', followers_key(id), redis.call('TTL', turn_key(id)))
end
local events = {}
for _, entry in ipairs(redis.call('XRANGE', log_key(id), (after + 2) .. '-0', '+', 'COUNT', most)) do
  events[#events + 1] = entry[2][2]
end
return {live and 'live' or 'ended', tonumber(record[3]), events}
