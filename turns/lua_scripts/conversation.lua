-- include: prelude
-- Reads the turns that a turn continues, from `previous_response_id` back to the first.

-- Check that a conversation can be continued, and extend its life: each turn must exist and belong to `owner`.
-- Arguments: args.previous_response_cached (boolean: the asking socket holds that response, which then need not be
-- stored), args.store_seconds and args.unstored_seconds (retention). Returns an error word, or nil.
local function hold_conversation(previous, owner)
  local ancestor, first = previous, true
  while ancestor do
    local record = fields(ancestor, 'owner', 'status', 'store', 'previous_response_id', 'version')
    if not record.owner or record.owner ~= owner then return 'previous_response_not_found' end
    if is_newer(record) then return 'newer_version' end
    if first then
      if record.store == '0' and not args.previous_response_cached then return 'previous_response_not_found' end
      if is_active(record) then return 'previous_response_running' end
      if record.status == 'failed' then return 'previous_response_not_found' end
    end
    redis.call('EXPIRE', turn_key(ancestor), record.store == '1' and args.store_seconds or args.unstored_seconds)
    ancestor, first = record.previous_response_id, false
  end
end

-- Return the inputs and outputs of the turns before a turn, latest first: input, output, input, output.
local function history(previous)
  local texts, ancestor = {}, previous
  while ancestor do
    local record = fields(ancestor, 'input', 'output', 'previous_response_id')
    if not record.input then break end
    texts[#texts + 1] = record.input
    texts[#texts + 1] = record.output or ''
    ancestor = record.previous_response_id
  end
  return texts
end

-- Whether a conversation can be answered, or its last answer continued, without new items: not when nothing was said
-- in it, nor when it ends in a call of a tool. Only the record of a warm-up says so; any other turn was answered.
local function awaits_answer(previous)
  return previous ~= nil and redis.call('HGET', turn_key(previous), 'awaits_answer') ~= '0'
end

-- Return one of the ids in `calls` for which the turns before a turn have no call of a tool; nil: they have all.
local function missing_call(previous, calls)
  local missing, ancestor = {}, previous
  for _, call_id in ipairs(calls) do missing[call_id] = true end
  while ancestor and next(missing) do
    local record = fields(ancestor, 'input', 'previous_response_id')
    for _, item in ipairs(record.input and cjson.decode(record.input) or {}) do
      if item.type == 'function_call' then missing[item.call_id] = nil end
    end
    ancestor = record.previous_response_id
  end
  return (next(missing))
end
