-- include: feed, slots, owner, steering, webhooks
-- Ends turns. Arguments: args.log_seconds, args.store_seconds and args.unstored_seconds (retention of a log, of
-- a stored record and of one that is not stored).

-- Set when the log and the record of a turn that has ended expire. `record` has store, batch, owner and conversation.
local function expire_turn(id, record)
  local seconds = retention_of(record)
  redis.call('EXPIRE', log_key(id), args.log_seconds)
  redis.call('EXPIRE', turn_key(id), seconds)
  if record.batch then return end
  count_record(id, record.owner, seconds)
  local log = redis.call('MEMORY', 'USAGE', log_key(id))
  if log then count_bytes(record.owner, log, counted_until(args.log_seconds)) end
end

-- Release all that a turn held while it was active, announce its end and note it in its feed. `used` is its number of
-- tokens, `status` its last. `record` has model, store, batch, owner, conversation, root, reserved_tokens and budget_day.
local function release(id, record, used, status)
  leave_slot(id, record.model)
  redis.call('ZREM', watches_key(), id)
  redis.call('ZREM', deadlines_key(), id)
  expire_turn(id, record)
  if record.conversation then redis.call('EXPIRE', conversation_key(record.conversation), args.store_seconds) end
  give_room(record, used)
  add_to_feed(feed_of(id, record), record.owner, 'response.ended', ended_fields(id, status))
  if record.batch then
    redis.call('RPUSH', batch_ended_key(record.batch), id)
    -- Longer than any turn on it is kept; a batch that has ended itself leaves nothing behind.
    redis.call('EXPIRE', batch_ended_key(record.batch), 2 * args.unstored_seconds)
  else
    announce_end(record.owner, 'response.' .. status, id)
  end
end

-- Write the terminal event of a turn that no worker runs. `response` is the response's JSON at its end; nil: as it was.
local function finish(id, record, type, status, error, response)
  if record.status == 'queued' then
    begin_log(id, record)
    stop_waiting(record.owner, record.batch)
  end
  local seq = tonumber(record.seq) + 1
  local steering = steering_of(record, status, false)
  response = with_steering(response or record.response, steering, record.successor)
  redis.call('HSET', turn_key(id), 'seq', seq, 'status', status, 'error', error)
  if steering then redis.call('HSET', turn_key(id), 'response', response) end
  emit(id, seq, lifecycle(type, seq, status, error, '', response), '', true, record.nodes)
  release(id, record, 0, status)
  settle_steers(id, record.owner, steering)
end

-- Cancel a turn. One that waits ends at once, and its tag goes back to its owner if none of the owner's turns came
-- after it. One that was claimed before is marked, and ends at its worker or at the next.
local function stop(id, record)
  local queue = queue_key(record.model, record.tier)
  local tag = redis.call('ZSCORE', queue, record.queue_member)
  if not tag or record.status == 'in_progress' then
    redis.call('HSET', turn_key(id), 'cancel_requested', 1)
    if record.worker then redis.call('PUBLISH', worker_channel_key(record.model, record.worker), id) end
    if tag then redis.call('ZADD', queue, 0, record.queue_member) end
    return
  end
  redis.call('ZREM', queue, record.queue_member)
  local tags = tags_key(record.model, record.tier)
  if redis.call('ZSCORE', tags, record.owner) == tag then redis.call('ZINCRBY', tags, -1, record.owner) end
  redis.call('HSET', turn_key(id), 'output', '')
  finish(id, record, 'response.incomplete', 'cancelled', 'null')
end

-- End a turn as failed, whether it waits or runs.
local function fail(id, record, message)
  redis.call('ZREM', queue_key(record.model, record.tier), record.queue_member)
  finish(id, record, 'response.failed', 'failed', '{"code":"server_error","message":"' .. message .. '"}')
end
