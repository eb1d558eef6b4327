-- include: queue
-- Assigns slots, and preempts batch turns when turns of other tiers wait.

-- With more than one slot the batch tier keeps one. With a single slot it can't, so a batch turn runs for at least
-- this long before it is preempted.
local MINIMUM_RUN_MS = 1000

-- Preempt batch turns: one for each waiting turn of another tier for which no slot is free or about to be. The turn
-- that has run longest keeps its slot: the ones that began later have less to repeat.
local function preempt(model, now, capacity)
  local preemptible = redis.call('ZCARD', preemptible_key(model))
  if preemptible == 0 then return end
  local waiting, size = queue_sizes(model)
  local preempted = redis.call('ZCARD', preempted_key(model))
  local wanted = math.min(size - waiting.batch - capacity.free - preempted,
    preemptible - preempted - (capacity.slots > 1 and 1 or 0))
  if wanted <= 0 then return end
  local latest = redis.call('ZREVRANGE', preemptible_key(model), 0, -1, 'WITHSCORES')
  for i = 1, #latest, 2 do
    local id, young = latest[i], now - tonumber(latest[i + 1]) < MINIMUM_RUN_MS
    local spared = capacity.slots <= 1 and young
    if wanted > 0 and not redis.call('ZSCORE', preempted_key(model), id) and not spared then
      local worker = redis.call('HGET', turn_key(id), 'worker')
      if worker then
        redis.call('ZADD', preempted_key(model), now, id)
        redis.call('PUBLISH', worker_channel_key(model, worker), 'preempt ' .. id)
        wanted = wanted - 1
      else
        -- No worker has it: its record was lost.
        redis.call('ZREM', preemptible_key(model), id)
      end
    end
  end
end

-- Assign a slot of a worker to a turn.
local function take_slot(id, model, tier, worker, now, lease_ms)
  redis.call('HINCRBY', turn_key(id), 'attempt', 1)
  redis.call('HSET', turn_key(id), 'status', 'in_progress', 'worker', worker, 'claimed_at', now)
  redis.call('ZADD', leases_key(), now + lease_ms, id)
  if tier == 'batch' then redis.call('ZADD', preemptible_key(model), now, id) end
end

-- Note that a batch turn's slot was assigned to another turn, or is free. Returns whether it was still preemptible.
local function give_slot(id, model)
  redis.call('ZREM', preempted_key(model), id)
  return redis.call('ZREM', preemptible_key(model), id) == 1
end

-- Release a turn's slot. Returns whether a preemptible slot became free by that.
local function leave_slot(id, model)
  redis.call('ZREM', leases_key(), id)
  return give_slot(id, model)
end

-- Requeue a turn at the head of its queue. The attempt does not count towards the limit of attempts.
local function requeue(id, record, now)
  redis.call('HINCRBY', turn_key(id), 'requeues', 1)
  redis.call('HINCRBY', turn_key(id), 'running_ms', now - tonumber(record.claimed_at or now))
  redis.call('HDEL', turn_key(id), 'worker')
  redis.call('ZADD', queue_key(record.model, record.tier), 0, record.queue_member)
  return leave_slot(id, record.model)
end
