-- include: last_turn, owner
-- Ask the workers of a model to count the tokens of a conversation. What is written expires after `wait_seconds`.
-- Arguments: id (of the request), node (who gets the answer), owner, model, previous_response_id, conversation (optional),
--   previous_response_cached, has_question, compact (booleans), alive_ms, max_waiting (requests), max_waiting_bytes,
--   most_bytes (of a conversation, see `history` in conversation.lua), wait_seconds, store_seconds, unstored_seconds,
--   limits (see owner.lua).
-- ARGV[2], ARGV[3]: request (JSON), input (JSON).
-- Returns {'ok'} or {'limited', limit, milliseconds}, {no_question}, {no_worker}, {too_many_requests}, {newer_version},
--   {previous_response_not_found}, {previous_response_running}, {conversation_not_found}, {conversation_locked}.
local model, waiting = args.model, count_requests_key(args.model)

local wait = take_one(args.owner, 'counts', args.limits.counts_per_minute, now_ms())
if wait then return {'limited', 'counts_per_minute', math.ceil(wait)} end
local previous, refusal = hold_previous(args)
if refusal then return {refusal} end
if not args.has_question and not awaits_answer(previous) then return {'no_question'} end
if redis.call('ZCOUNT', heartbeats_key(model), now_ms() - args.alive_ms, '+inf') == 0 then return {'no_worker'} end
-- Before the conversation is read, which costs most. A single request is taken whatever its size.
local taken = redis.call('MEMORY', 'USAGE', waiting, 'SAMPLES', 0) or 0
if redis.call('LLEN', waiting) >= args.max_waiting or taken >= args.max_waiting_bytes then
  return {'too_many_requests'}
end

local before = history(previous, args.most_bytes)
if before.missing then return {'previous_response_not_found'} end
redis.call('RPUSH', waiting, cjson.encode({
  id = args.id, node = args.node, request = ARGV[2], input = ARGV[3], compact = args.compact,
  history = before.texts, system = before.system, cut = before.cut,
}))
redis.call('EXPIRE', waiting, args.wait_seconds)
return {'ok'}
