-- Put turns whose lease ran out back at the head of their line, or end them when they had all their attempts.
local most_attempts = tonumber(ARGV[1])
local log_seconds, store_seconds, unstored_seconds = ARGV[2], ARGV[3], ARGV[4]
local moved = {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases_key(), '-inf', now_ms(), 'LIMIT', 0, 100)) do
  redis.call('ZREM', leases_key(), id)
  local record = redis.call('HMGET', turn_key(id), 'status', 'attempt', 'model', 'tier', 'member', 'seq',
    'response', 'store')
  if record[1] == 'in_progress' then
    moved[#moved + 1] = id
    if tonumber(record[2]) < most_attempts then
      redis.call('ZADD', line_key(record[3], record[4]), 0, record[5])
      redis.call('HDEL', turn_key(id), 'worker')
    else
      local seq = tonumber(record[6]) + 1
      local error = '{"code":"server_error","message":"The turn was given up after '
        .. record[2] .. ' attempts: each worker that took it was lost."}'
      redis.call('HSET', turn_key(id), 'seq', seq, 'status', 'failed', 'error', error)
      emit(id, seq, lifecycle('response.failed', seq, 'failed', error, '', record[7]), '', true,
        redis.call('SMEMBERS', followers_key(id)))
      retire(id, record[8], log_seconds, store_seconds, unstored_seconds)
    end
  end
end
send_mail()
return moved
