-- Tell the readers of waiting turns where they stand: when that has changed, and else from time to time, which
-- also shows that the connection lives. ARGV: how long a silent worker counts as alive, then ids.
local now, alive_ms = now_ms(), tonumber(ARGV[1])
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HMGET', turn_key(id), 'status', 'model', 'tier', 'member', 'told', 'told_at', 'seq',
    'response', 'nodes')
  if record[1] == 'queued' then
    local told, position = told_of(record[2], record[3], record[4], now, alive_ms)
    local since = now - tonumber(record[6])
    -- Far back in line every step is no news, and each event is kept.
    local pause = position <= 10 and 1000 or 5000
    local before = tonumber(string.match(record[5], '(%S+) [^\n]*$'))
    if since >= 15000 or (position ~= before and since >= pause) then
      local seq = tonumber(record[7]) + 1
      redis.call('HSET', turn_key(id), 'seq', seq, 'told', record[5] .. '\n' .. told, 'told_at', now)
      post(id, seq, queued_event(seq, told, record[8]), false, record[9])
    end
  end
end
send_mail()
