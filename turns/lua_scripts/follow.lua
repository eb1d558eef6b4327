-- include: events
-- Add a node to those that follow a turn and read the turn's log after an event, atomically, so that no event is
-- missed between the two.
-- Arguments: id, owner, node, after (number of an event, -1 for none), bytes (of events; at least one is returned),
--   watch_ms (milliseconds without a reader after which a turn that is not stored is cancelled).
-- Returns {'live' or 'ended', number of the last event, events}; {'kept', seq, status, error, response} when
--   the log has expired and the answer is stored; or {response_not_found}, {stream_expired}, {newer_version}.
local id, node = args.id, args.node
-- Entries of the log that are read at a time.
local CHUNK = 64

local record = fields(id, 'owner', 'status', 'seq', 'store', 'nodes', 'version')
if not record.owner or record.owner ~= args.owner then return {'response_not_found'} end
if is_newer(record) then return {'newer_version'} end
if record.nodes == NO_READERS then return {'stream_expired'} end
local live, waits = is_active(record), record.status == 'queued'
if not waits and redis.call('EXISTS', log_key(id)) == 0 then
  if live or record.store == '0' then return {'stream_expired'} end
  local kept = fields(id, 'error', 'response')
  return {'kept', tonumber(record.seq), record.status, kept.error or 'null', kept.response}
end
if live then
  if not string.find('\n' .. record.nodes .. '\n', '\n' .. node .. '\n', 1, true) then
    redis.call('HSET', turn_key(id), 'nodes', record.nodes .. '\n' .. node)
  end
  redis.call('ZADD', watches_key(), 'XX', now_ms() + args.watch_ms, id)
end

local events, left = {}, args.bytes
-- Add an event; return whether there is no room for another.
local function add(event)
  if #events > 0 and #event > left then return true end
  events[#events + 1] = event
  left = left - #event
  return left <= 0
end

if waits then
  for n, event in ipairs(waiting_events(record_of(id))) do
    if n - 1 > args.after and add(event) then break end
  end
else
  local full, read = false, CHUNK
  while not full and read == CHUNK do
    local from = string.format('%.0f-0', args.after + #events + 2)
    local entries = redis.call('XRANGE', log_key(id), from, '+', 'COUNT', CHUNK)
    read = #entries
    for _, entry in ipairs(entries) do
      full = add(entry[2][2])
      if full then break end
    end
  end
end
return {live and 'live' or 'ended', tonumber(record.seq), events}
