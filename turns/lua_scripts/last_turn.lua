-- include: conversation
-- Conversations with an id. Their record names the last of their turns, and each turn the one before it; an item that
-- was added by hand is a turn of one message, without an answer and without a response. A conversation is locked while
-- its last turn is active, so whatever ends that turn unlocks it: there is no lock that could be left behind.

local function set_last(conversation, last)
  local key = conversation_key(conversation)
  if last then redis.call('HSET', key, 'last', last) else redis.call('HDEL', key, 'last') end
end

-- Return the turn that the next turn of a conversation continues; nil when there is none. A turn that failed is left
-- out from then on. Returns as well an error word, if the conversation can't be changed.
local function last_turn(conversation, owner)
  local record = read_fields(conversation_key(conversation), 'owner', 'last', 'version')
  if not record.owner or record.owner ~= owner then return nil, 'conversation_not_found' end
  if is_newer(record) then return nil, 'newer_version' end
  if not record.last then return nil end
  local turn = fields(record.last, 'status', 'previous_response_id', 'version')
  if is_newer(turn) then return nil, 'newer_version' end
  if is_active(turn) then return turn.previous_response_id, 'conversation_locked' end
  if turn.status ~= 'failed' then return record.last end
  set_last(conversation, turn.previous_response_id)
  return turn.previous_response_id
end

-- Extend the life of a conversation and of its turns up to `last`. Returns an error word, or nil.
local function extend_life(conversation, owner, last)
  local refusal = hold_conversation(last, owner, true)
  if refusal == 'previous_response_not_found' then return 'conversation_not_found' end
  redis.call('EXPIRE', conversation_key(conversation), args.store_seconds)
  redis.call('EXPIRE', feed_key(conversation), args.store_seconds + hold_seconds())
  return refusal
end

-- Return the turn that a new turn continues, nil if there is none, and extend the life of the conversation. Returns an
-- error word as well, if there is one. `turn` has owner, previous_response_id or conversation.
local function hold_previous(turn)
  local conversation = turn.conversation
  if not conversation then return turn.previous_response_id, hold_conversation(turn.previous_response_id, turn.owner) end
  local last, refusal = last_turn(conversation, turn.owner)
  return last, refusal or extend_life(conversation, turn.owner, last)
end

-- Return the ids of the turns of a conversation, latest first, from `last` on.
local function turns_from(last)
  local ids = {}
  while last do
    ids[#ids + 1] = last
    last = redis.call('HGET', turn_key(last), 'previous_response_id')
  end
  return ids
end

-- Note that a conversation has a turn less, in the record of a turn after it.
local function shrink(turn, bytes, removed, system_before)
  local record = fields(turn, 'bytes', 'system_at')
  if record.bytes then
    redis.call('HINCRBY', turn_key(turn), 'bytes', -bytes)
    redis.call('HINCRBY', turn_key(turn), 'depth', -1)
  end
  if record.system_at == removed then
    if system_before then redis.call('HSET', turn_key(turn), 'system_at', system_before)
    else redis.call('HDEL', turn_key(turn), 'system_at') end
  end
end

-- Take a turn out of a conversation: the turn after it continues the one before it.
local function unlink_turn(conversation, id)
  local before = redis.call('HGET', turn_key(id), 'previous_response_id')
  local turns = turns_from(redis.call('HGET', conversation_key(conversation), 'last'))
  if turns[1] == id then return set_last(conversation, before) end
  local bytes = redis.call('HSTRLEN', turn_key(id), 'input') + redis.call('HSTRLEN', turn_key(id), 'output')
  for i = 2, #turns do
    if turns[i] == id then
      for later = 1, i - 1 do shrink(turns[later], bytes, id, system_at(before)) end
      local after = turn_key(turns[i - 1])
      if before then redis.call('HSET', after, 'previous_response_id', before)
      else redis.call('HDEL', after, 'previous_response_id') end
    end
  end
end
