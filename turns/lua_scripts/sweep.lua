-- include: ending, outage
-- Handle turns that are overdue: their worker was lost, their readers left, their time is over, or no worker serves
-- their model. Turns whose record a newer release wrote are left to nodes and workers of that release.
-- Arguments: max_attempts, unserved_ms (how long a turn waits for a model without workers), log_seconds,
--   store_seconds, unstored_seconds.
-- Returns {turns whose worker was lost, id of a turn that was left alone because of its version, or ''}, each turn a list
--   of id, attempt, model, worker, node, request id and traceparent, as texts, and milliseconds since its claim.

-- Turns handled in one call for each reason, and records looked at for them.
local MAX_HANDLED, MAX_READ = 100, 1000

local now, moved, newer = now_ms(), {}, ''

-- Call `handle(id, record)` for each overdue turn of a sorted set, passing over newer records.
local function each_overdue(key, handle)
  local start, handled = 0, 0
  while handled < MAX_HANDLED and start < MAX_READ do
    local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', start, MAX_HANDLED)
    for _, id in ipairs(ids) do
      local record = record_of(id)
      if is_newer(record) then
        newer, start = id, start + 1
      else
        redis.call('ZREM', key, id)
        handled = handled + 1
        handle(id, record)
      end
    end
    if #ids < MAX_HANDLED then return end
  end
end

local grace = grace_until(now)
redis.call('HSET', sweep_key(), 'last', now, 'grace_until', grace)

if now >= grace then
  each_overdue(leases_key(), function(id, record)
    if not record then return end
    leave_slot(id, record.model)
    if record.status ~= 'in_progress' then return end
    moved[#moved + 1] = {id, record.attempt, record.model, record.worker or '', origin_node(record),
      record.request_id or '', record.traceparent or '', now - (record.claimed_at or now)}
    -- Attempts that ended in a requeue do not count as lost.
    local lost = tonumber(record.attempt) - tonumber(record.requeues or 0)
    if lost < args.max_attempts then
      redis.call('ZADD', queue_key(record.model, record.tier), 0, record.queue_member)
      redis.call('HDEL', turn_key(id), 'worker')
    else
      fail(id, record, 'The turn was given up after ' .. lost .. ' attempts: each worker that took it was lost.')
    end
  end)
end

each_overdue(watches_key(), function(id, record)
  if is_active(record) then stop(id, record) end
end)

each_overdue(deadlines_key(), function(id, record)
  if is_active(record) then fail(id, record, 'The turn was not answered in time.') end
end)

for _, model in ipairs(redis.call('SMEMBERS', requested_models_key())) do
  local latest = redis.call('ZREVRANGE', heartbeats_key(model), 0, 0, 'WITHSCORES')
  if not latest[2] or tonumber(latest[2]) < now - args.unserved_ms then
    for _, tier in ipairs(TIERS) do
      for _, member in ipairs(redis.call('ZRANGE', queue_key(model, tier), 0, MAX_HANDLED - 1)) do
        local id = string.match(member, ':(.*)$')
        local record = record_of(id)
        if is_newer(record) then
          newer = id
        -- A turn of a batch waits as long as its batch's window; the batch's runner ends it.
        elseif is_active(record) and not record.batch and tonumber(record.queued_at) < now - args.unserved_ms then
          fail(id, record, 'No worker serves this model.')
        end
      end
    end
  end
end
publish_outbox()
return {moved, newer}
