-- Tell the readers of waiting turns where they stand: when that has changed, and else from time to time, which
-- also shows that the connection lives. ARGV: how long a silent worker counts as alive, then ids.
local now, alive_ms = now_ms(), tonumber(ARGV[1])
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HMGET', turn_key(id), 'status', 'model', 'tier', 'member', 'told', 'told_at', 'seq',
    'response')
  if record[1] == 'queued' then
    local position, size = place(record[2], record[3], record[4])
    local since = now - tonumber(record[6])
    -- Far back in line every step is no news, and each event is kept.
    local pause = position <= 10 and 1000 or 5000
    if since >= 15000 or (position ~= tonumber(record[5]) and since >= pause) then
      local seq = tonumber(record[7]) + 1
      redis.call('HSET', turn_key(id), 'seq', seq, 'told', position, 'told_at', now)
      emit(id, seq, queued_event(seq, record[2], position, size, now - alive_ms, record[8]), '', false,
        redis.call('SMEMBERS', followers_key(id)))
    end
  end
end
send_mail()
