-- A worker's sign of life: renews the leases of all its turns and tells of each whether it is still the
-- worker's own ('ok'), is to be stopped ('cancel') or has gone elsewhere ('lost').
-- ARGV after the first five: for each turn id and attempt.
local model, worker, lease_ms, about, rows = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local now, verdicts = now_ms(), {}

redis.call('ZADD', beats_key(model), now, worker)
redis.call('HSET', rows_key(model), worker, rows)
redis.call('HSET', models_key(), model, about)
for i = 6, #ARGV, 2 do
  local record = redis.call('HMGET', turn_key(ARGV[i]), 'attempt', 'status', 'cancel')
  local verdict = 'lost'
  if record[1] == ARGV[i + 1] and record[2] == 'in_progress' then
    redis.call('ZADD', leases_key(), now + lease_ms, ARGV[i])
    verdict = record[3] and 'cancel' or 'ok'
  end
  verdicts[#verdicts + 1] = verdict
end
return verdicts
