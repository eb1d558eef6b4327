-- Put in front of every script, after the key functions that turns/keys.py writes.
-- Nothing here runs by itself. Events are numbered from 0 and a stream refuses the id 0-0, hence n + 1.

local TIERS = {'priority', 'default', 'flex', 'batch'}

local mail = {}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Append one event to a turn's log and address it to the nodes that follow the turn.
local function emit(id, seq, event, ids, last, nodes)
  if ids == '' then
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'e', event)
  else
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'e', event, 't', ids)
  end
  local letter = id .. ' ' .. seq .. (last and ' end ' or ' more ') .. event
  for _, node in ipairs(nodes) do
    local box = mail[node]
    if box then box[#box + 1] = letter else mail[node] = {letter} end
  end
end

-- One PUBLISH for each node, whatever the number of events for it.
local function send_mail()
  for node, letters in pairs(mail) do
    redis.call('PUBLISH', node_channel_key(node), table.concat(letters, '\n'))
  end
end

-- An event that carries the whole response. `rest` is the response's JSON after its status and error.
local function lifecycle(type, seq, status, error, extra, rest)
  return '{"type":"' .. type .. '","sequence_number":' .. seq .. extra
    .. ',"response":{"status":"' .. status .. '","error":' .. error .. ',' .. rest .. '}'
end

-- Where a turn stands among all that wait for its model, and how many wait.
local function place(model, tier, member)
  local position, size, before = 0, 0, true
  for _, name in ipairs(TIERS) do
    local waiting = redis.call('ZCARD', line_key(model, name))
    size = size + waiting
    if name == tier then
      position = position + redis.call('ZRANK', line_key(model, name), member) + 1
      before = false
    elseif before then
      position = position + waiting
    end
  end
  return position, size
end

-- Say to a waiting turn's readers where it stands.
local function queued_event(seq, model, position, size, alive_since, rest)
  local workers = redis.call('ZCOUNT', beats_key(model), alive_since, '+inf')
  local queue = ',"queue":{"position":' .. position .. ',"size":' .. size
    .. ',"eta_seconds":null,"workers":' .. workers .. '}'
  return lifecycle('response.queued', seq, 'queued', 'null', queue, rest)
end

-- End a turn: nothing is waited for any more, and its log and record begin to age.
local function retire(id, store, log_seconds, store_seconds, unstored_seconds)
  redis.call('ZREM', leases_key(), id)
  redis.call('ZREM', watches_key(), id)
  redis.call('ZREM', deadlines_key(), id)
  redis.call('EXPIRE', log_key(id), log_seconds)
  redis.call('EXPIRE', followers_key(id), log_seconds)
  redis.call('EXPIRE', turn_key(id), store == '1' and store_seconds or unstored_seconds)
  local job = redis.call('HGET', turn_key(id), 'job')
  if job then
    redis.call('RPUSH', job_ended_key(job), id)
    -- Longer than any turn on it is kept; a job that has ended itself leaves nothing behind.
    redis.call('EXPIRE', job_ended_key(job), 2 * unstored_seconds)
  end
end

-- Stop a turn. One that waits ends at once and its place goes back to its owner, if nothing of the owner's came
-- after it; one that a worker had begins is marked, and ends in good form at that worker or the next.
local function stop(id, record, log_seconds, store_seconds, unstored_seconds)
  local waits = redis.call('ZREM', line_key(record.model, record.tier), record.member) == 1
  if not waits or record.status == 'in_progress' then
    redis.call('HSET', turn_key(id), 'cancel', 1)
    if record.worker then redis.call('PUBLISH', worker_channel_key(record.model, record.worker), id) end
    if waits then redis.call('ZADD', line_key(record.model, record.tier), 0, record.member) end
    return
  end
  local tags = tags_key(record.model, record.tier)
  if redis.call('ZSCORE', tags, record.owner) == record.tag then redis.call('ZINCRBY', tags, -1, record.owner) end
  local seq = tonumber(record.seq) + 1
  redis.call('HSET', turn_key(id), 'seq', seq, 'status', 'cancelled', 'output', '')
  emit(id, seq, lifecycle('response.incomplete', seq, 'cancelled', 'null', '', record.response), '', true,
    redis.call('SMEMBERS', followers_key(id)))
  retire(id, record.store, log_seconds, store_seconds, unstored_seconds)
end

-- End a turn as failed, wherever it is.
local function fail(id, record, message, log_seconds, store_seconds, unstored_seconds)
  redis.call('ZREM', line_key(record.model, record.tier), record.member)
  local seq = tonumber(record.seq) + 1
  local error = '{"code":"server_error","message":"' .. message .. '"}'
  redis.call('HSET', turn_key(id), 'seq', seq, 'status', 'failed', 'error', error)
  emit(id, seq, lifecycle('response.failed', seq, 'failed', error, '', record.response), '', true,
    redis.call('SMEMBERS', followers_key(id)))
  retire(id, record.store, log_seconds, store_seconds, unstored_seconds)
end

-- A whole record by field names; nil when there is none.
local function record_of(id)
  local fields = redis.call('HGETALL', turn_key(id))
  if #fields == 0 then return nil end
  local record = {}
  for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
  return record
end

local function is_live(record)
  return record ~= nil and (record.status == 'queued' or record.status == 'in_progress')
end
