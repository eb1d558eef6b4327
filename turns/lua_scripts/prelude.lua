-- Put in front of every script, after the key functions that turns/keys.py writes.
-- Nothing here runs by itself. Events are numbered from 0 and a stream refuses the id 0-0, hence n + 1.

local TIERS = {'priority', 'default', 'flex', 'batch'}

-- Stands in place of nodes on the turn of a batch's line: it has no readers, so its log has no events. It keeps the
-- token ids that another attempt goes on from, and a refusal, whose status and code the record has no place for.
local NOBODY = '-'

local outbox = {}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
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

-- Address an event to the nodes that follow a turn, one a line.
local function post(id, seq, event, last, nodes)
  local message = id .. ' ' .. seq .. (last and ' end ' or ' more ') .. event
  for node in string.gmatch(nodes, '[^\n]+') do
    local pending = outbox[node]
    if pending then pending[#pending + 1] = message else outbox[node] = {message} end
  end
end

-- One PUBLISH for each node, whatever the number of events for it.
local function publish_outbox()
  for node, messages in pairs(outbox) do
    redis.call('PUBLISH', node_channel_key(node), table.concat(messages, '\n'))
  end
end

local function write(id, seq, event, ids)
  if ids == '' then
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'e', event)
  else
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'e', event, 't', ids)
  end
end

-- Append one event to a turn's log and address it to whoever follows the turn.
local function emit(id, seq, event, ids, last, nodes)
  if nodes == NOBODY then
    local refusal = string.sub(event, 1, 15) == '{"type":"error"'
    if ids ~= '' or refusal then write(id, seq, refusal and event or '', ids) end
    return
  end
  write(id, seq, event, ids)
  post(id, seq, event, last, nodes)
end

-- An event that carries the whole response. `rest` is the response's JSON after its status and error; `queue`
-- is empty, or stands both beside the response and in it.
local function lifecycle(type, seq, status, error, queue, rest)
  if queue ~= '' then queue = ',"queue":' .. queue end
  return '{"type":"' .. type .. '","sequence_number":' .. seq .. queue
    .. ',"response":{"status":"' .. status .. '","error":' .. error .. queue .. ',' .. rest .. '}'
end

-- What a waiting turn's readers were told of its place, a line each: position, size, seconds, workers.
local function queue_json(told)
  local position, size, eta, workers = string.match(told, '(%S+) (%S+) (%S+) (%S+)')
  return '{"position":' .. position .. ',"size":' .. size .. ',"eta_seconds":' .. eta
    .. ',"workers":' .. workers .. '}'
end

local function queued_event(seq, told, rest)
  return lifecycle('response.queued', seq, 'queued', 'null', queue_json(told), rest)
end

-- The events of a turn that no worker has had yet. It has no log: even one of a single entry takes as much memory
-- as the text of a whole conversation, and what it would hold follows from the record.
local function waiting_events(record)
  local events = {lifecycle('response.created', 0, 'queued', 'null', '', record.response)}
  for told in string.gmatch(record.told, '[^\n]+') do
    events[#events + 1] = queued_event(#events, told, record.response)
  end
  return events
end

-- Begin the log of a turn that has waited, with all that its readers were told so far.
local function begin_log(id, record)
  if record.nodes == NOBODY then return end
  for n, event in ipairs(waiting_events(record)) do write(id, n - 1, event, '') end
  redis.call('EXPIRE', log_key(id), redis.call('TTL', turn_key(id)))
  redis.call('HDEL', turn_key(id), 'told', 'told_at')
end
