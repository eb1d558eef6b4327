-- A worker's sign of life: renews the leases of all its turns and tells of each whether it is still the
-- worker's own ('ok'), is to be stopped ('cancel'), is to give its slot back ('preempt') or has gone elsewhere ('lost').
-- ARGV after the first six: for each turn id and attempt.
local model, worker, lease_ms, about, slots = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local alive_ms = tonumber(ARGV[6])
local now, verdicts = now_ms(), {}

redis.call('ZADD', heartbeats_key(model), now, worker)
redis.call('HSET', slots_key(model), worker, slots)
redis.call('HSET', models_key(), model, about)
-- Submits tell at once whose slot is wanted; this is for when that was not heard.
preempt(model, now, staff(model, now - alive_ms))
for i = 7, #ARGV, 2 do
  local record = redis.call('HMGET', turn_key(ARGV[i]), 'attempt', 'status', 'cancel')
  local verdict = 'lost'
  if record[1] == ARGV[i + 1] and record[2] == 'in_progress' then
    redis.call('ZADD', leases_key(), now + lease_ms, ARGV[i])
    verdict = record[3] and 'cancel' or redis.call('ZSCORE', preempted_key(model), ARGV[i]) and 'preempt' or 'ok'
  end
  verdicts[#verdicts + 1] = verdict
end
return verdicts
