-- include: ending, last_turn
-- Create a turn that has ended at once: it has no answer, and later turns can continue it. Repeated with the same id
-- it creates nothing and returns the same.
-- Arguments: id, owner, model, previous_response_id, conversation (optional, as in submit.lua),
--   previous_response_cached, store, has_question, has_messages (booleans: its input alone can be answered; it has an
--   item that is not of the system), system (JSON of its system messages, optional), log_seconds, store_seconds,
--   unstored_seconds, conversation_bytes, conversation_turns, limits (see owner.lua).
-- ARGV[2...5]: request (JSON), input (JSON), response before and after its end (JSON after status and error).
-- Returns {'ok', first event, second event}, or {newer_version}, {previous_response_not_found},
--   {previous_response_running}, {conversation_not_found}, {conversation_locked};
--   {'conversation_too_long', 'bytes' or 'turns'}, {'limited', limit, milliseconds}.
local request, input, response, finished_response = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local id, owner, conversation, store = args.id, args.owner, args.conversation, args.store and '1' or '0'

local created = lifecycle('response.created', 0, 'in_progress', 'null', '', response)
local completed = lifecycle('response.completed', 1, 'completed', 'null', '', finished_response)
if redis.call('EXISTS', turn_key(id)) == 0 then
  local previous, refusal = hold_previous(args)
  if refusal then return {refusal} end
  local bytes, turns, excess = measure(previous, #input)
  if excess then return {'conversation_too_long', excess} end
  -- Its log has the response twice.
  local stored = record_bytes(#request, #input, 3 * #response)
  if not has_room(owner, stored, args.limits.stored_bytes) then return {'limited', 'stored_bytes', FULL_MS} end
  local wait = take_one(owner, 'warm_ups', args.limits.warm_ups_per_minute, now_ms())
  if wait then return {'limited', 'warm_ups_per_minute', math.ceil(wait)} end
  local awaits = args.has_question or (not args.has_messages and awaits_answer(previous))
  redis.call('HSET', turn_key(id), 'version', VERSION, 'owner', owner, 'model', args.model, 'tier', 'default',
    'status', 'completed', 'attempt', 0, 'seq', 1, 'store', store, 'request', request, 'input', input,
    'response', finished_response, 'output', '', 'nodes', '', 'awaits_answer', awaits and 1 or 0)
  join_conversation(id, previous, bytes, turns, args.system)
  if conversation then
    redis.call('HSET', turn_key(id), 'conversation', conversation)
    set_last(conversation, id)
  end
  local root = not conversation and previous and root_of(previous)
  if root then redis.call('HSET', turn_key(id), 'root', root) end
  if conversation or root then
    add_to_feed(conversation or root, owner, 'response.created', created_fields(id, root and previous))
    add_to_feed(conversation or root, owner, 'response.ended', ended_fields(id, 'completed'))
    publish_outbox()
  end
  emit(id, 0, created, '', false, '')
  emit(id, 1, completed, '', true, '')
  expire_turn(id, {store = store, conversation = conversation, owner = owner})
  announce_end(owner, 'response.completed', id)
end
return {'ok', created, completed}
