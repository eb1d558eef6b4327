-- include: last_turn
-- Create a conversation with an id, or add items to one. Repeated with the same ids it does nothing.
-- Arguments: id, owner, created_at (seconds, optional: create it first), turns: a list of {id, asks, spoken} for each
--   item (asks: a user's message that waits for an answer; spoken: not of the system), store_seconds,
--   unstored_seconds.
-- ARGV[2]: metadata (JSON) of a new conversation. ARGV[3...]: input (JSON) of each turn.
-- Returns ok, conversation_not_found, conversation_locked or newer_version.
local id, owner, key = args.id, args.owner, conversation_key(args.id)

if args.created_at and redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, 'version', VERSION, 'owner', owner, 'created_at', args.created_at, 'metadata', ARGV[2])
end
if args.turns[1] and redis.call('EXISTS', turn_key(args.turns[1].id)) == 1 then return 'ok' end
local previous, refusal = hold_previous({owner = owner, conversation = id})
if refusal then return refusal end

for i, turn in ipairs(args.turns) do
  local awaits = turn.asks or (not turn.spoken and awaits_answer(previous))
  redis.call('HSET', turn_key(turn.id), 'version', VERSION, 'owner', owner, 'status', 'completed', 'store', '0',
    'input', ARGV[i + 2], 'output', '', 'awaits_answer', awaits and 1 or 0, 'conversation', id)
  if previous then redis.call('HSET', turn_key(turn.id), 'previous_response_id', previous) end
  redis.call('EXPIRE', turn_key(turn.id), args.store_seconds)
  previous = turn.id
end
set_last(id, previous)
return 'ok'
