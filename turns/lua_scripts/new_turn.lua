-- include: feed, last_turn, slots, owner
-- Puts a new turn into the queue: its record, its place, and the wake-up of a worker. Nothing is refused here: who calls
-- has checked what may be. Arguments: args.alive_ms, args.log_seconds, args.store_seconds, args.unstored_seconds.

-- The command on a worker's channel; `turns/commands.py` reads it.
local WAKE_UP = 'wake_up'

-- Wake up the live worker with the most free slots. With none free, a worker claims when a slot becomes free.
-- `message` is that of Celery; nil: there is none.
local function wake_worker(model, tier, capacity, message, now)
  local best = capacity.freest
  if not best then
    if tier ~= 'batch' then preempt(model, now, capacity) end
    return
  end
  redis.call('HINCRBY', free_slots_key(model), best, -1)
  -- Published first, because a worker hears its channel sooner than Celery delivers a message. The message stays: it is
  -- kept while the worker does not listen. Whichever comes second finds nothing to claim.
  redis.call('PUBLISH', worker_channel_key(model, best), WAKE_UP)
  if not message then return end
  local queue_name = 'turns.' .. model .. '.' .. best
  redis.call('LPUSH', PREFIX .. queue_name, (string.gsub(message, '@queue@', (string.gsub(queue_name, '%%', '%%%%')))))
end

-- Create a turn, note it in its feed, and return its queue place as `announced` has it.
-- `turn` has those fields of its record (see turns/record.py) that are known; `plan` has previous (the turn that it
-- continues, optional), bytes and turns (of the conversation that it makes), turn_seconds, watch_ms (0: it goes on
-- without readers), wake_up (Celery message, optional), tag (its place in the queue, if it takes that of another turn).
local function create_turn(id, turn, plan, now)
  local model, tier, owner, batch = turn.model, turn.tier, turn.owner, turn.batch
  local kept_seconds = plan.turn_seconds + args.log_seconds

  -- Start-time fair queueing: an owner's next turn comes one tag after its last, and never before the clock.
  local clock = tonumber(redis.call('HGET', clocks_key(model), tier) or 0)
  local latest = tonumber(redis.call('ZSCORE', tags_key(model, tier), owner) or 0)
  local tag = plan.tag or math.max(clock, latest) + 1
  local member = string.format('%014d:%s', redis.call('INCR', arrivals_key()), id)
  if not plan.tag then redis.call('ZADD', tags_key(model, tier), tag, owner) end
  redis.call('ZADD', queue_key(model, tier), tag, member)

  redis.call('SADD', requested_models_key(), model)
  redis.call('ZADD', deadlines_key(), now + plan.turn_seconds * 1000, id)
  if turn.store == '0' and plan.watch_ms > 0 and not batch then
    redis.call('ZADD', watches_key(), now + plan.watch_ms, id)
  end
  local capacity = capacity_of(model, now)
  local announced = queue_place(model, tier, member, capacity, now)
  record_arrival(model, tier, tag <= clock + 1, now)
  local record = {'version', VERSION, 'status', 'queued', 'attempt', 0, 'seq', 1, 'queue_member', member,
    'queued_at', now, 'announced', announced, 'announced_at', now}
  local function add(name, value)
    record[#record + 1] = name
    record[#record + 1] = value
  end
  for name, value in pairs(turn) do
    if name ~= 'system' then add(name, value) end
  end
  if turn.conversation then
    set_last(turn.conversation, id)
    redis.call('EXPIRE', conversation_key(turn.conversation), math.max(args.store_seconds, kept_seconds))
  end
  local root = not turn.conversation and plan.previous and root_of(plan.previous)
  if root then add('root', root) end
  -- The record may not expire while the turn is active; `release` sets what comes after.
  local seconds = math.max(args.store_seconds, kept_seconds)
  if not batch then
    local counted = record_bytes(#turn.request, #turn.input, #turn.response, #(turn.system or ''))
    for name, value in pairs(count_new_record(owner, counted, seconds)) do add(name, value) end
  end
  redis.call('HSET', turn_key(id), unpack(record))
  join_conversation(id, plan.previous, plan.bytes, plan.turns, turn.system)
  redis.call('EXPIRE', turn_key(id), seconds)
  redis.call('EXPIRE', owner_key(owner), kept_seconds)
  local feed = turn.conversation or root
  if feed then add_to_feed(feed, owner, 'response.created', created_fields(id, root and plan.previous)) end
  wake_worker(model, tier, capacity, plan.wake_up, now)
  return announced
end
