-- include: events, statistics
-- Announce to the readers of waiting turns their queue place: when it has changed, and else at least every 15
-- seconds, which also shows that the connection works. Arguments: ids (list), alive_ms.
local HEARTBEAT_MS = 14000

local now = now_ms()
for _, id in ipairs(args.ids) do
  local record = fields(id, 'status', 'model', 'tier', 'queue_member', 'announced', 'announced_at', 'seq', 'response',
    'nodes', 'worker', 'version')
  if is_newer(record) then
    -- A node of the newer release announces it.
  elseif record.status == 'queued' then
    local announced, position = queue_place(record.model, record.tier, record.queue_member,
      capacity_of(record.model, now), now)
    local since = now - tonumber(record.announced_at)
    -- Each event is kept, so a turn far back in the queue is not announced at every step.
    local pause = position <= 10 and 1000 or 5000
    local before = tonumber(string.match(record.announced, '(%S+) [^\n]*$'))
    if since >= HEARTBEAT_MS or (position ~= before and since >= pause) then
      local seq = tonumber(record.seq) + 1
      redis.call('HSET', turn_key(id), 'seq', seq, 'announced', record.announced .. '\n' .. announced,
        'announced_at', now)
      post(id, seq, queued_event(seq, announced, record.response), false, record.nodes)
    end
  elseif record.status == 'in_progress' and not record.worker
    and now - tonumber(record.announced_at or 0) >= HEARTBEAT_MS then
    -- Its worker was lost and none has claimed it yet, so no worker writes events.
    local seq = tonumber(record.seq) + 1
    redis.call('HSET', turn_key(id), 'seq', seq, 'announced_at', now)
    local event = lifecycle('response.in_progress', seq, 'in_progress', 'null', '', record.response)
    emit(id, seq, event, '', false, record.nodes)
  end
end
publish_outbox()
