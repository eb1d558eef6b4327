-- include: new_turn, steering
-- Create a turn: its record and its place in the queue; and wake up a worker with a free slot. Repeated with the same
-- id it creates nothing and returns the same.
-- Arguments: id, owner, model, tier, node (that follows the turn), previous_response_id (optional),
--   previous_response_cached, conversation (optional: id of the conversation whose last turn it continues instead),
--   store, has_question (booleans), calls (optional: ids of calls of tools that must be in the conversation),
--   idempotency_key (optional), fingerprint (of the request),
--   batch (optional; then no node follows the turn, and its end goes onto the batch's list), epoch and line (with a
--   batch), alive_ms, watch_ms (0: goes on without readers), max_queued (turns), turn_seconds, log_seconds,
--   store_seconds, unstored_seconds, limits (see owner.lua), tokens (estimate, counted against them),
--   day (of now, UTC, such as 2026-11-28), siblings (turns of the same request that follow), system (JSON of its system
--   messages, optional), conversation_bytes, conversation_turns, api_key (optional: id of the key that it came with),
--   requests_per_minute (with an api_key that has such a limit of its own), request_id and traceparent (optional).
-- ARGV[2...5]: request (JSON), input (JSON), response (JSON after status and error), wake-up (Celery message).
-- Returns {'ok', first event, second event, requests, tokens, tokens of the day, of the month} with what is used of the
--   limits per minute and of the budgets, without these for a repeated id, or with a batch {'ok', status};
--   {'known', id} for a known idempotency key; {'limited', limit, milliseconds} and the same four numbers, or without
--   them; or one of {queue_full}, {batch_lost}, {idempotency_key_reused}, {no_question}, {'call_not_found', id},
--   {newer_version}, {previous_response_not_found}, {previous_response_running}, {conversation_not_found},
--   {conversation_locked}, {'conversation_too_long', 'bytes' or 'turns'}.
local request, input, response, wake_up = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local id, owner, model, tier, batch = args.id, args.owner, args.model, args.tier, args.batch
local key, conversation = args.idempotency_key, args.conversation

-- A runner that lost its batch may resume late: it must not submit again what is committed already.
if batch and tonumber(redis.call('HGET', batch_key(batch), 'epoch') or -1) ~= args.epoch then return {'batch_lost'} end

if key then
  local known = read_fields(idempotency_key(owner, key), 'id', 'fingerprint')
  if known.id and known.fingerprint ~= args.fingerprint then return {'idempotency_key_reused'} end
  if known.id then return {'known', known.id} end
end
local known = record_of(id)
if known and batch then return {'ok', known.status} end
if known and known.status == 'queued' then
  local events = waiting_events(known)
  return {'ok', events[1], events[2]}
elseif known then
  local entries = redis.call('XRANGE', log_key(id), '1-0', '2-0')
  return {'ok', entries[1][2][2], entries[2][2][2]}
end

local previous, refusal = hold_previous(args)
if refusal then return {refusal} end
if not args.has_question and not awaits_answer(previous) then return {'no_question'} end
local missing = args.calls and missing_call(previous, args.calls)
if missing then return {'call_not_found', missing} end

-- Input that was queued while the previous turn was written comes first.
local steers = pending_input(previous)
if steers then input = joined_items({steers, input}) end
local bytes, turns, excess = measure(previous, #input)
if excess then return {'conversation_too_long', excess} end

local _, waiting = queue_sizes(model)
if waiting + args.siblings >= args.max_queued then return {'queue_full'} end

local now, use = now_ms(), nil
if not batch then
  local stored = record_bytes(#request, #input, #response) * (1 + args.siblings)
  if not has_room(owner, stored, args.limits.stored_bytes) then return {'limited', 'stored_bytes', FULL_MS} end
  local limit, wait
  use, limit, wait = take_room(owner, model, args, now)
  if limit then return {'limited', limit, math.ceil(wait), unpack(use)} end
elseif has_budget(args.limits) then
  -- A batch was accepted as a whole: its lines are counted, and none is refused.
  spend(owner, spent_of(owner, args.day), args.tokens)
end

if key then
  redis.call('HSET', idempotency_key(owner, key), 'id', id, 'fingerprint', args.fingerprint)
  redis.call('EXPIRE', idempotency_key(owner, key), args.turn_seconds + args.log_seconds)
end
if steers then take_pending(previous, id) end
local limited = has_budget(args.limits) or args.limits.tokens_per_minute > 0
local announced = create_turn(id, {
  owner = owner, model = model, tier = tier, store = args.store and '1' or '0', request = request, input = input,
  response = response, nodes = batch and NO_READERS or args.node, conversation = conversation, batch = batch,
  line = args.line, request_id = args.request_id, traceparent = args.traceparent, system = args.system,
  reserved_tokens = limited and args.tokens or nil, budget_day = has_budget(args.limits) and args.day or nil,
}, {
  previous = previous, bytes = bytes, turns = turns, turn_seconds = args.turn_seconds, watch_ms = args.watch_ms,
  wake_up = wake_up,
}, now)
publish_outbox()
if batch then return {'ok', 'queued'} end
local events = waiting_events({response = response, announced = announced})
return {'ok', events[1], events[2], unpack(use)}
