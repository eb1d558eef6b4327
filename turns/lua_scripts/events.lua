-- include: prelude
-- Writes events to a turn's log and publishes them to the nodes that follow the turn.
-- Events are numbered from 0 and a stream refuses the id 0-0, hence the entry id (n + 1)-0.

-- Messages to publish when the script ends, by node.
local outbox = {}

-- Address an event to the nodes that follow a turn; `nodes` has one name on each line.
local function post(id, seq, event, last, nodes)
  local message = id .. ' ' .. seq .. (last and ' end ' or ' more ') .. event
  for node in string.gmatch(nodes, '[^\n]+') do
    local pending = outbox[node]
    if pending then pending[#pending + 1] = message else outbox[node] = {message} end
  end
end

-- Publish the outbox: one PUBLISH for each node, however many events it gets.
local function publish_outbox()
  for node, messages in pairs(outbox) do
    redis.call('PUBLISH', node_channel_key(node), table.concat(messages, '\n'))
  end
end

-- Write one entry of a log; `logprobs` (JSON of its token ids) may be nil, false or empty.
local function write(id, seq, event, token_ids, logprobs)
  if token_ids == '' then
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'event', event)
  elseif logprobs and logprobs ~= '' then
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'event', event, 'token_ids', token_ids, 'logprobs', logprobs)
  else
    redis.call('XADD', log_key(id), (seq + 1) .. '-0', 'event', event, 'token_ids', token_ids)
  end
end

-- Append one event to a turn's log and address it to the nodes that follow the turn.
local function emit(id, seq, event, token_ids, last, nodes, logprobs)
  if nodes == NO_READERS then
    local refusal = string.sub(event, 1, 15) == '{"type":"error"'
    if token_ids ~= '' or refusal then write(id, seq, refusal and event or '', token_ids, logprobs) end
    return
  end
  write(id, seq, event, token_ids, logprobs)
  post(id, seq, event, last, nodes)
end

-- Return an event that carries the whole response. `response` is the response's JSON after its status and error;
-- `queue` is empty, or JSON that stands both beside the response and in it.
local function lifecycle(type, seq, status, error, queue, response)
  if queue ~= '' then queue = ',"queue":' .. queue end
  return '{"type":"' .. type .. '","sequence_number":' .. seq .. queue
    .. ',"response":{"status":"' .. status .. '","error":' .. error .. queue .. ',' .. response .. '}'
end

-- Return an announced queue place as JSON. `announced` is "position size eta_seconds workers".
local function queue_json(announced)
  local position, size, eta, workers = string.match(announced, '(%S+) (%S+) (%S+) (%S+)')
  return '{"position":' .. position .. ',"size":' .. size .. ',"eta_seconds":' .. eta
    .. ',"workers":' .. workers .. '}'
end

local function queued_event(seq, announced, response)
  return lifecycle('response.queued', seq, 'queued', 'null', queue_json(announced), response)
end

-- Return the events of a turn that no worker has claimed yet. Such a turn has no log, because a stream with a single
-- entry takes as much memory as the text of a conversation; its events follow from the record.
local function waiting_events(record)
  local events = {lifecycle('response.created', 0, 'queued', 'null', '', record.response)}
  for announced in string.gmatch(record.announced, '[^\n]+') do
    events[#events + 1] = queued_event(#events, announced, record.response)
  end
  return events
end

-- Write the log of a turn that has waited, with all events that its readers got so far.
local function begin_log(id, record)
  if record.nodes == NO_READERS then return end
  for n, event in ipairs(waiting_events(record)) do write(id, n - 1, event, '') end
  redis.call('EXPIRE', log_key(id), redis.call('TTL', turn_key(id)))
  redis.call('HDEL', turn_key(id), 'announced', 'announced_at')
end
