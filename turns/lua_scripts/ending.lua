-- Put in front of every script, last: how a turn ends that no worker has, or none any more.

-- Begin to forget a turn that has ended, log and record.
local function age(id, store, log_seconds, store_seconds, unstored_seconds)
  redis.call('EXPIRE', log_key(id), log_seconds)
  redis.call('EXPIRE', turn_key(id), store == '1' and store_seconds or unstored_seconds)
end

-- End a turn: nothing is waited for any more. `used` are its tokens.
local function retire(id, model, used, store, log_seconds, store_seconds, unstored_seconds)
  leave_slot(id, model)
  redis.call('ZREM', watches_key(), id)
  redis.call('ZREM', deadlines_key(), id)
  age(id, store, log_seconds, store_seconds, unstored_seconds)
  local record = redis.call('HMGET', turn_key(id), 'batch', 'owner', 'cost')
  local batch = record[1]
  give_room(record[2], batch, record[3], used)
  if batch then
    redis.call('RPUSH', batch_ended_key(batch), id)
    -- Longer than any turn on it is kept; a batch that has ended itself leaves nothing behind.
    redis.call('EXPIRE', batch_ended_key(batch), 2 * unstored_seconds)
  end
end

-- Write the terminal event of a turn that no worker writes to.
local function finish(id, record, type, status, error, log_seconds, store_seconds, unstored_seconds)
  if record.status == 'queued' then
    begin_log(id, record)
    stop_waiting(record.owner, record.batch)
  end
  local seq = tonumber(record.seq) + 1
  redis.call('HSET', turn_key(id), 'seq', seq, 'status', status, 'error', error)
  emit(id, seq, lifecycle(type, seq, status, error, '', record.response), '', true, record.nodes)
  retire(id, record.model, 0, record.store, log_seconds, store_seconds, unstored_seconds)
end

-- Stop a turn. One that waits ends at once and its place goes back to its owner, if nothing of the owner's came
-- after it; one that a worker had begins is marked, and ends in good form at that worker or the next.
local function stop(id, record, log_seconds, store_seconds, unstored_seconds)
  local line = queue_key(record.model, record.tier)
  local tag = redis.call('ZSCORE', line, record.member)
  if not tag or record.status == 'in_progress' then
    redis.call('HSET', turn_key(id), 'cancel', 1)
    if record.worker then redis.call('PUBLISH', worker_channel_key(record.model, record.worker), id) end
    if tag then redis.call('ZADD', line, 0, record.member) end
    return
  end
  redis.call('ZREM', line, record.member)
  local tags = tags_key(record.model, record.tier)
  if redis.call('ZSCORE', tags, record.owner) == tag then redis.call('ZINCRBY', tags, -1, record.owner) end
  redis.call('HSET', turn_key(id), 'output', '')
  finish(id, record, 'response.incomplete', 'cancelled', 'null', log_seconds, store_seconds, unstored_seconds)
end

-- End a turn as failed, wherever it is.
local function fail(id, record, message, log_seconds, store_seconds, unstored_seconds)
  redis.call('ZREM', queue_key(record.model, record.tier), record.member)
  local error = '{"code":"server_error","message":"' .. message .. '"}'
  finish(id, record, 'response.failed', 'failed', error, log_seconds, store_seconds, unstored_seconds)
end
