-- Tell the readers of waiting turns where they stand: when that has changed, and else within 15 seconds, which
-- also shows that the connection lives. ARGV: how long a silent worker counts as alive, then ids.
local now, alive_ms = now_ms(), tonumber(ARGV[1])
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HMGET', turn_key(id), 'status', 'model', 'tier', 'member', 'told', 'told_at', 'seq',
    'response', 'nodes', 'worker')
  if record[1] == 'queued' then
    local told, position = told_of(record[2], record[3], record[4], now, alive_ms)
    local since = now - tonumber(record[6])
    -- Far back in line every step is no news, and each event is kept.
    local pause = position <= 10 and 1000 or 5000
    local before = tonumber(string.match(record[5], '(%S+) [^\n]*$'))
    if since >= 14000 or (position ~= before and since >= pause) then
      local seq = tonumber(record[7]) + 1
      redis.call('HSET', turn_key(id), 'seq', seq, 'told', record[5] .. '\n' .. told, 'told_at', now)
      post(id, seq, queued_event(seq, told, record[8]), false, record[9])
    end
  elseif record[1] == 'in_progress' and not record[10] and now - tonumber(record[6] or 0) >= 14000 then
    -- Its worker was lost and none has it yet: nobody else says that it goes on.
    local seq = tonumber(record[7]) + 1
    redis.call('HSET', turn_key(id), 'seq', seq, 'told_at', now)
    emit(id, seq, lifecycle('response.in_progress', seq, 'in_progress', 'null', '', record[8]), '', false, record[9])
  end
end
publish_outbox()
