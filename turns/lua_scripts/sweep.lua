-- See to every turn that something was to happen to by now: whose worker was lost, whose reader left, whose
-- time is over, or whose model nobody serves. Gives the ids of turns put back at the head of their line.
local most_attempts, nobody_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local log_seconds, store_seconds, unstored_seconds = ARGV[3], ARGV[4], ARGV[5]
local now, moved = now_ms(), {}

local function overdue(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 100)
end

-- When nobody swept for long, Redis or everybody was away: workers that lived on renew their leases first.
local swept = redis.call('HMGET', swept_key(), 'last', 'calm')
local calm = tonumber(swept[2] or 0)
if now - tonumber(swept[1] or now) > 5000 then calm = now + 1500 end
redis.call('HSET', swept_key(), 'last', now, 'calm', calm)

for _, id in ipairs(now < calm and {} or overdue(leases_key())) do
  local record = record_of(id)
  if record then leave_slot(id, record.model) else redis.call('ZREM', leases_key(), id) end
  if record and record.status == 'in_progress' then
    moved[#moved + 1] = id
    -- Attempts that a worker handed on in good order are not held against a turn.
    local lost = tonumber(record.attempt) - tonumber(record.requeues or 0)
    if lost < most_attempts then
      redis.call('ZADD', queue_key(record.model, record.tier), 0, record.member)
      redis.call('HDEL', turn_key(id), 'worker')
    else
      fail(id, record, 'The turn was given up after ' .. lost .. ' attempts: each worker that took it was lost.',
        log_seconds, store_seconds, unstored_seconds)
    end
  end
end

for _, id in ipairs(overdue(watches_key())) do
  redis.call('ZREM', watches_key(), id)
  local record = record_of(id)
  if is_live(record) then stop(id, record, log_seconds, store_seconds, unstored_seconds) end
end

for _, id in ipairs(overdue(deadlines_key())) do
  redis.call('ZREM', deadlines_key(), id)
  local record = record_of(id)
  if is_live(record) then
    fail(id, record, 'The turn was not answered in time.', log_seconds, store_seconds, unstored_seconds)
  end
end

for _, model in ipairs(redis.call('SMEMBERS', asked_key())) do
  local latest = redis.call('ZREVRANGE', heartbeats_key(model), 0, 0, 'WITHSCORES')
  if not latest[2] or tonumber(latest[2]) < now - nobody_ms then
    for _, tier in ipairs(TIERS) do
      for _, member in ipairs(redis.call('ZRANGE', queue_key(model, tier), 0, 99)) do
        local id = string.match(member, ':(.*)$')
        local record = record_of(id)
        -- A batch waits as long as its window is; its feeder sees to that.
        if is_live(record) and not record.batch and tonumber(record.since) < now - nobody_ms then
          fail(id, record, 'No worker serves this model.', log_seconds, store_seconds, unstored_seconds)
        end
      end
    end
  end
end
publish_outbox()
return moved
