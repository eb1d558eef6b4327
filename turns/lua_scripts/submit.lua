-- include: feed, last_turn, slots, owner
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
local kept_seconds = args.turn_seconds + args.log_seconds
-- The command on a worker's channel; `turns/commands.py` reads it.
local WAKE_UP = 'wake_up'

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

local bytes, turns, excess = measure(previous, #input)
if excess then return {'conversation_too_long', excess} end

local _, waiting = queue_sizes(model)
if waiting + args.siblings >= args.max_queued then return {'queue_full'} end

local now, use = now_ms(), nil
if not batch then
  local stored = record_bytes(#request, #input, #response) * (1 + args.siblings)
  if not has_room(owner, stored, args.limits.stored_bytes) then return {'limited', 'stored_bytes', FULL_MS} end
  -- The key's own limit is counted like an owner's. A turn that the owner may not have does not count.
  local holder = args.requests_per_minute and 'key:' .. args.api_key
  if holder then
    local _, wait = count_of(holder, 'requests', args.requests_per_minute, now, 1 + args.siblings)
    if wait then return {'limited', 'requests_per_minute', math.ceil(wait)} end
  end
  local limit, wait
  use, limit, wait = take_room(owner, model, args.limits, args.tokens, now, args.siblings, args.day)
  if limit then return {'limited', limit, math.ceil(wait), unpack(use)} end
  if holder then take_one(holder, 'requests', args.requests_per_minute, now) end
elseif has_budget(args.limits) then
  -- A batch was accepted as a whole: its lines are counted, and none is refused.
  spend(owner, spent_of(owner, args.day), args.tokens)
end

-- Start-time fair queueing: an owner's next turn comes one tag after its last, and never before the clock.
local clock = tonumber(redis.call('HGET', clocks_key(model), tier) or 0)
local latest = tonumber(redis.call('ZSCORE', tags_key(model, tier), owner) or 0)
local tag = math.max(clock, latest) + 1
local member = string.format('%014d:%s', redis.call('INCR', arrivals_key()), id)
redis.call('ZADD', tags_key(model, tier), tag, owner)
redis.call('ZADD', queue_key(model, tier), tag, member)

redis.call('SADD', requested_models_key(), model)
redis.call('ZADD', deadlines_key(), now + args.turn_seconds * 1000, id)
if not args.store and args.watch_ms > 0 and not batch then
  redis.call('ZADD', watches_key(), now + args.watch_ms, id)
end
if key then
  redis.call('HSET', idempotency_key(owner, key), 'id', id, 'fingerprint', args.fingerprint)
  redis.call('EXPIRE', idempotency_key(owner, key), kept_seconds)
end
local capacity = capacity_of(model, now)
local announced = queue_place(model, tier, member, capacity, now)
record_arrival(model, tier, tag <= clock + 1, now)
local record = {'version', VERSION, 'owner', owner, 'model', model, 'tier', tier, 'status', 'queued', 'attempt', 0,
  'seq', 1, 'store', args.store and '1' or '0', 'request', request, 'input', input, 'response', response,
  'queue_member', member, 'queued_at', now, 'nodes', batch and NO_READERS or args.node, 'announced', announced,
  'announced_at', now}
local function add(name, value)
  record[#record + 1] = name
  record[#record + 1] = value
end
if conversation then
  add('conversation', conversation)
  set_last(conversation, id)
  redis.call('EXPIRE', conversation_key(conversation), math.max(args.store_seconds, kept_seconds))
end
local root = not conversation and previous and root_of(previous)
if root then add('root', root) end
for _, name in ipairs({'request_id', 'traceparent'}) do
  if args[name] then add(name, args[name]) end
end
if batch then
  add('batch', batch)
  add('line', args.line)
end
local budgeted = has_budget(args.limits)
if budgeted or args.limits.tokens_per_minute > 0 then add('reserved_tokens', args.tokens) end
if budgeted then add('budget_day', args.day) end
-- The record may not expire while the turn is active; `release` sets what comes after.
local seconds = math.max(args.store_seconds, kept_seconds)
if not batch then
  local counted = record_bytes(#request, #input, #response, #(args.system or ''))
  for name, value in pairs(count_new_record(owner, counted, seconds)) do add(name, value) end
end
redis.call('HSET', turn_key(id), unpack(record))
join_conversation(id, previous, bytes, turns, args.system)
redis.call('EXPIRE', turn_key(id), seconds)
redis.call('EXPIRE', owner_key(owner), kept_seconds)
if conversation or root then
  add_to_feed(conversation or root, owner, 'response.created', created_fields(id, root and previous))
  publish_outbox()
end

-- Wake up the live worker with the most free slots. With none free, a worker claims when a slot becomes free.
local best = capacity.freest
if best then
  redis.call('HINCRBY', free_slots_key(model), best, -1)
  -- Published first, because a worker hears its channel sooner than Celery delivers a message. The message stays: it is
  -- kept while the worker does not listen. Whichever comes second finds nothing to claim.
  redis.call('PUBLISH', worker_channel_key(model, best), WAKE_UP)
  local queue_name = 'turns.' .. model .. '.' .. best
  redis.call('LPUSH', PREFIX .. queue_name, (string.gsub(wake_up, '@queue@', (string.gsub(queue_name, '%%', '%%%%')))))
end
if not best and tier ~= 'batch' then preempt(model, now, capacity) end
if batch then return {'ok', 'queued'} end
local events = waiting_events({response = response, announced = announced})
return {'ok', events[1], events[2], unpack(use)}
