-- include: last_turn
-- Ask the workers of a model to count the tokens of a conversation. What is written expires after `wait_seconds`.
-- Arguments: id (of the request), node (who gets the answer), owner, model, previous_response_id, conversation (optional),
--   previous_response_cached, has_question, compact (booleans), alive_ms, max_waiting (requests), wait_seconds,
--   store_seconds, unstored_seconds.
-- ARGV[2], ARGV[3]: request (JSON), input (JSON).
-- Returns ok, no_question, no_worker, too_many_requests, newer_version, previous_response_not_found or
--   previous_response_running, conversation_not_found or conversation_locked.
local model = args.model

local previous, refusal = hold_previous(args)
if refusal then return refusal end
if not args.has_question and not awaits_answer(previous) then return 'no_question' end
if redis.call('ZCOUNT', heartbeats_key(model), now_ms() - args.alive_ms, '+inf') == 0 then return 'no_worker' end
if redis.call('LLEN', count_requests_key(model)) >= args.max_waiting then return 'too_many_requests' end

redis.call('RPUSH', count_requests_key(model), cjson.encode({
  id = args.id, node = args.node, request = ARGV[2], input = ARGV[3], compact = args.compact,
  history = history(previous),
}))
redis.call('EXPIRE', count_requests_key(model), args.wait_seconds)
return 'ok'
