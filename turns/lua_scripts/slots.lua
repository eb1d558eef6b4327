-- Put in front of every script, after the line: slots that batch turns have, and must give back when people wait.

-- With a single slot there is none that a batch could keep: then its turns run for so long before they give way.
local LEAST_RUN_MS = 1000

-- Have batch turns give their slots back: one for each of the people who wait and have no free slot coming. The one
-- that runs longest keeps its slot, which is the batch's own, so of two the later gives way, and has less to repeat.
local function preempt(model, now, staff)
  local preemptible = redis.call('ZCARD', preemptible_key(model))
  if preemptible == 0 then return end
  local waiting, size = crowd(model)
  local preempted = redis.call('ZCARD', preempted_key(model))
  local wanted = math.min(size - waiting.batch - staff.free - preempted,
    preemptible - preempted - (staff.slots > 1 and 1 or 0))
  if wanted <= 0 then return end
  local latest = redis.call('ZREVRANGE', preemptible_key(model), 0, -1, 'WITHSCORES')
  for i = 1, #latest, 2 do
    local id, young = latest[i], now - tonumber(latest[i + 1]) < LEAST_RUN_MS
    if wanted > 0 and not redis.call('ZSCORE', preempted_key(model), id) and not (staff.slots <= 1 and young) then
      local worker = redis.call('HGET', turn_key(id), 'worker')
      if worker then
        redis.call('ZADD', preempted_key(model), now, id)
        redis.call('PUBLISH', worker_channel_key(model, worker), 'preempt ' .. id)
        wanted = wanted - 1
      else
        -- Nobody has it: it was lost with its record.
        redis.call('ZREM', preemptible_key(model), id)
      end
    end
  end
end

-- Note that a turn is a worker's from now on.
local function take_slot(id, model, tier, worker, now, lease_ms)
  redis.call('HINCRBY', turn_key(id), 'attempt', 1)
  redis.call('HSET', turn_key(id), 'status', 'in_progress', 'worker', worker, 'began', now)
  redis.call('ZADD', leases_key(), now + lease_ms, id)
  if tier == 'batch' then redis.call('ZADD', preemptible_key(model), now, id) end
end

-- Note that a batch turn's slot is another's, or free. Tells whether it was still lent.
local function give_slot(id, model)
  redis.call('ZREM', preempted_key(model), id)
  return redis.call('ZREM', preemptible_key(model), id) == 1
end

-- Note that a turn is no worker's any more; tells whether a slot that was lent is free by that.
local function leave_slot(id, model)
  redis.call('ZREM', leases_key(), id)
  return give_slot(id, model)
end

-- Put a turn that its worker hands on at the head of its line. It is not held against the turn.
local function requeue(id, model, tier, member, ran)
  redis.call('HINCRBY', turn_key(id), 'requeues', 1)
  redis.call('HINCRBY', turn_key(id), 'ran', ran)
  redis.call('HDEL', turn_key(id), 'worker')
  redis.call('ZADD', queue_key(model, tier), 0, member)
  return leave_slot(id, model)
end
