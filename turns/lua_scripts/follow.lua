-- Name a node as a follower of a turn and read its log after an event, at one instant: nothing falls between.
-- Of a turn whose log is gone and whose answer is kept, it gives what the record says of its end.
local id, owner, node, after, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local watch_ms = tonumber(ARGV[6])

local record = redis.call('HMGET', turn_key(id), 'owner', 'status', 'seq', 'store', 'nodes')
if not record[1] or record[1] ~= owner then return {'response_not_found'} end
if record[5] == NOBODY then return {'stream_expired'} end
local live, waits = record[2] == 'queued' or record[2] == 'in_progress', record[2] == 'queued'
if not waits and redis.call('EXISTS', log_key(id)) == 0 then
  if live or record[4] == '0' then return {'stream_expired'} end
  local kept = redis.call('HMGET', turn_key(id), 'status', 'error', 'response', 'output')
  return {'kept', tonumber(record[3]), kept[1], kept[2] or 'null', kept[3], kept[4] or ''}
end
if live then
  if not string.find('\n' .. record[5] .. '\n', '\n' .. node .. '\n', 1, true) then
    redis.call('HSET', turn_key(id), 'nodes', record[5] .. '\n' .. node)
  end
  redis.call('ZADD', watches_key(), 'XX', now_ms() + watch_ms, id)
end
local events = {}
if waits then
  for n, event in ipairs(waiting_events(record_of(id))) do
    if n - 1 > after and #events < most then events[#events + 1] = event end
  end
else
  local from = string.format('%.0f-0', after + 2)
  for _, entry in ipairs(redis.call('XRANGE', log_key(id), from, '+', 'COUNT', most)) do
    events[#events + 1] = entry[2][2]
  end
end
return {live and 'live' or 'ended', tonumber(record[3]), events}
