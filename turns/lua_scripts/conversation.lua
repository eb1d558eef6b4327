-- include: prelude
-- Reads the turns that a turn continues, from `previous_response_id` back to the first.

-- Return how many seconds a turn's record is kept. `record` has store and conversation.
local function retention_of(record)
  return (record.store == '1' or record.conversation) and args.store_seconds or args.unstored_seconds
end

-- Check that a conversation can be continued, and extend its life: each turn must exist and belong to `owner`.
-- Arguments: args.previous_response_cached (boolean: the asking socket holds that response, which then need not be
-- stored), args.store_seconds and args.unstored_seconds (retention). With `by_id` the last turn is that of a
-- conversation with an id, which may be one that is not stored. Returns an error word, or nil.
local function hold_conversation(previous, owner, by_id)
  local ancestor, first = previous, not by_id
  while ancestor do
    local record = fields(ancestor, 'owner', 'status', 'store', 'previous_response_id', 'version', 'conversation')
    if not record.owner or record.owner ~= owner then return 'previous_response_not_found' end
    if is_newer(record) then return 'newer_version' end
    if first then
      if record.store == '0' and not args.previous_response_cached then return 'previous_response_not_found' end
      if is_active(record) then return 'previous_response_running' end
      if record.status == 'failed' then return 'previous_response_not_found' end
    end
    redis.call('EXPIRE', turn_key(ancestor), retention_of(record))
    ancestor, first = record.previous_response_id, false
  end
end

-- Return what is said in the turns before a turn, latest first, each turn's as four: input, text of the output, which of
-- its items were removed from the conversation, and its calls of tools or ''.
local function history(previous)
  local texts, ancestor = {}, previous
  while ancestor do
    local record = fields(ancestor, 'input', 'output', 'calls', 'previous_response_id', 'removed')
    if not record.input then break end
    texts[#texts + 1] = record.input
    texts[#texts + 1] = record.output or ''
    texts[#texts + 1] = record.removed or ''
    texts[#texts + 1] = record.calls or ''
    ancestor = record.previous_response_id
  end
  return texts
end

-- Whether a conversation can be answered, or its last answer continued, without new items: not when nothing was said
-- in it, nor when it ends in a call of a tool. Of a warm-up the record says so; any other turn was answered.
local function awaits_answer(previous)
  if not previous then return false end
  local record = fields(previous, 'awaits_answer', 'calls')
  return record.awaits_answer ~= '0' and not record.calls
end

-- Return one of the ids in `calls` for which the turns before a turn have no call of a tool; nil: they have all.
local function missing_call(previous, calls)
  local missing, ancestor = {}, previous
  for _, call_id in ipairs(calls) do missing[call_id] = true end
  while ancestor and next(missing) do
    local record = fields(ancestor, 'input', 'calls', 'previous_response_id')
    for _, items in ipairs({record.input or '[]', record.calls or '[]'}) do
      for _, item in ipairs(cjson.decode(items)) do
        if item.type == 'function_call' then missing[item.call_id] = nil end
      end
    end
    ancestor = record.previous_response_id
  end
  return (next(missing))
end
