-- include: stored_bytes
-- Reads the turns that a turn continues, from `previous_response_id` back to the first, and bounds them.
-- A conversation may have thousands of turns, so no script but those that list it reads all of them each time: a record
-- has the size of its conversation, the last turn before it with system messages, and when the turns before it were
-- last kept alive.

-- A chain is kept alive once in this part of the shortest retention, and so much longer.
local HOLDS = 8
-- Bytes of the latest turns in which calls of tools are looked for.
local CALLS_BYTES = 1024 * 1024

local function hold_seconds()
  return math.max(1, math.floor(math.min(args.store_seconds, args.unstored_seconds) / HOLDS))
end

-- Return how many seconds a turn's record is kept. `record` has store and conversation.
local function retention_of(record)
  local seconds = (record.store == '1' or record.conversation) and args.store_seconds or args.unstored_seconds
  return seconds + hold_seconds()
end

-- Keep a turn and all turns before it alive. Those that were kept alive within `hold_seconds` have been so with all
-- turns before them, so this ends there. Returns an error word, or nil.
local function keep_alive(last, owner)
  local hold, ancestor, stale = math.floor(now_seconds() / hold_seconds()), last, {}
  while ancestor do
    local record = fields(ancestor, 'owner', 'store', 'conversation', 'previous_response_id', 'version', 'held', 'batch')
    if not record.owner or record.owner ~= owner then return 'previous_response_not_found' end
    if is_newer(record) then return 'newer_version' end
    if tonumber(record.held or -1) >= hold then break end
    stale[#stale + 1] = {id = ancestor, record = record}
    ancestor = record.previous_response_id
  end
  for _, turn in ipairs(stale) do
    local seconds = retention_of(turn.record)
    redis.call('EXPIRE', turn_key(turn.id), seconds)
    redis.call('HSET', turn_key(turn.id), 'held', hold)
    if not turn.record.batch then count_record(turn.id, owner, seconds) end
  end
end

-- Check that a conversation can be continued, and extend its life: each turn must exist and belong to `owner`. That an
-- earlier turn was deleted since its life was last extended is seen when the conversation is read, see `history`.
-- Arguments: args.previous_response_cached (boolean: the asking socket holds that response, which then need not be
-- stored), args.store_seconds and args.unstored_seconds (retention). With `by_id` the last turn is that of a
-- conversation with an id, which may be one that is not stored. Returns an error word, or nil.
local function hold_conversation(previous, owner, by_id)
  if not previous then return nil end
  local record = fields(previous, 'owner', 'status', 'store', 'version')
  if not record.owner or record.owner ~= owner then return 'previous_response_not_found' end
  if is_newer(record) then return 'newer_version' end
  if not by_id then
    if record.store == '0' and not args.previous_response_cached then return 'previous_response_not_found' end
    if is_active(record) then return 'previous_response_running' end
    if record.status == 'failed' then return 'previous_response_not_found' end
  end
  return keep_alive(previous, owner)
end

-- Return the bytes and the number of the turns up to a turn. Records of earlier releases don't say.
local function size_of(last)
  local bytes, turns, ancestor = 0, 0, last
  while ancestor do
    local record = fields(ancestor, 'bytes', 'depth', 'previous_response_id')
    if record.bytes then return bytes + record.bytes, turns + record.depth end
    bytes = bytes + redis.call('HSTRLEN', turn_key(ancestor), 'input') + redis.call('HSTRLEN', turn_key(ancestor), 'output')
    turns, ancestor = turns + 1, record.previous_response_id
  end
  return bytes, turns
end

-- Return the bytes and turns of the conversation that a turn after `previous` with so many bytes makes; and what of it
-- is too much, `bytes` or `turns`. Arguments: args.conversation_bytes, args.conversation_turns.
local function measure(previous, added)
  local bytes, turns = size_of(previous)
  bytes, turns = bytes + added, turns + 1
  if bytes > args.conversation_bytes then return bytes, turns, 'bytes' end
  if turns > args.conversation_turns then return bytes, turns, 'turns' end
  return bytes, turns
end

-- Return the latest turn up to `last` that has system messages; nil if none has.
local function system_at(last)
  while last do
    local record = fields(last, 'bytes', 'system_at', 'previous_response_id')
    if record.bytes then return record.system_at end
    -- A record of an earlier release.
    local input = redis.call('HGET', turn_key(last), 'input')
    if input and string.find(input, '["system",', 1, true) then return last end
    last = record.previous_response_id
  end
end

-- Note in a new turn's record which conversation it makes. `system` is the JSON of its system messages, if any.
local function join_conversation(id, previous, bytes, turns, system)
  local record = {'bytes', bytes, 'depth', turns}
  local function add(name, value)
    record[#record + 1] = name
    record[#record + 1] = value
  end
  if previous then add('previous_response_id', previous) end
  local at = system and id or system_at(previous)
  if at then add('system_at', at) end
  if system then add('system', system) end
  redis.call('HSET', turn_key(id), unpack(record))
end

-- Return the conversation before a turn, as a table with
--   texts: what is said in the turns, latest first, each turn's as four: input, text of the output, which of its items
--     were removed from the conversation, and its calls of tools or ''. It ends with the turn that makes them more than
--     `most` bytes.
--   system: of the turns before these the system messages, which no truncation leaves out, latest first: a turn's
--     system messages or its input, and which of its items were removed.
--   cut: whether there are turns before these.
--   missing: whether one of them was deleted.
local function history(previous, most)
  local found, ancestor, bytes = {texts = {}, system = {}, cut = false, missing = false}, previous, 0
  local texts, system = found.texts, found.system
  while ancestor and bytes <= most do
    local record = fields(ancestor, 'input', 'output', 'calls', 'previous_response_id', 'removed')
    if not record.input then
      found.missing = true
      return found
    end
    local output, calls = record.output or '', record.calls or ''
    texts[#texts + 1] = record.input
    texts[#texts + 1] = output
    texts[#texts + 1] = record.removed or ''
    texts[#texts + 1] = calls
    bytes = bytes + #record.input + #output + #calls
    ancestor = record.previous_response_id
  end
  found.cut = ancestor ~= nil
  -- System messages of more bytes don't fit either.
  while ancestor and bytes <= 2 * most do
    local at = system_at(ancestor)
    if not at then break end
    local record = fields(at, 'input', 'system', 'previous_response_id', 'removed')
    if not record.input then
      found.missing = true
      return found
    end
    local said = not record.removed and record.system or record.input
    system[#system + 1] = said
    system[#system + 1] = record.removed or ''
    bytes = bytes + #said
    ancestor = record.previous_response_id
  end
  return found
end

-- Whether a conversation can be answered, or its last answer continued, without new items: not when nothing was said
-- in it, nor when it ends in a call of a tool. Of a warm-up the record says so; any other turn was answered.
local function awaits_answer(previous)
  if not previous then return false end
  local record = fields(previous, 'awaits_answer', 'calls')
  return record.awaits_answer ~= '0' and not record.calls
end

-- Return one of the ids in `calls` for which the latest turns up to `previous` have no call of a tool; nil: they have
-- all.
local function missing_call(previous, calls)
  local missing, ancestor, bytes = {}, previous, 0
  for _, call_id in ipairs(calls) do missing[call_id] = true end
  while ancestor and next(missing) and bytes <= CALLS_BYTES do
    local record = fields(ancestor, 'input', 'calls', 'previous_response_id')
    for _, items in ipairs({record.input or '[]', record.calls or '[]'}) do
      for _, item in ipairs(cjson.decode(items)) do
        if item.type == 'function_call' then missing[item.call_id] = nil end
      end
    end
    bytes = bytes + #(record.input or '')
    ancestor = record.previous_response_id
  end
  return (next(missing))
end
