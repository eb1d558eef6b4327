-- include: ending
-- Queue input for a running turn. The turn ends with its next slice, one that waits at once, and its successor goes on
-- with the input. What says the same again, under the same key, is the same steer.
-- Arguments: id, owner, steer (id to be given to it), key (tells a repeated one), successor (id to be given to the turn's
--   successor, if this is its first steer), bytes (of items and input together), max_steers, max_bytes (of all that wait
--   for one turn), tokens (estimate), day, limits, siblings (0), api_key and requests_per_minute (see owner.lua),
--   turn_seconds, watch_ms, alive_ms, log_seconds, store_seconds, unstored_seconds, conversation_bytes,
--   conversation_turns.
-- ARGV[2...5]: items (JSON), input (JSON, as it was sent), the successor's response (JSON after status, error and
--   created_at), the turn's own response as it is if it ends now, before it was claimed.
-- Returns {'accepted', id of the steer} or, with this id or '', {'failed', code, id}; {'conversation_too_long', 'bytes' or
--   'turns'}; {'limited', limit, milliseconds, use …}, see submit.lua; {response_not_found} or {newer_version}.
local id, owner, key = args.id, args.owner, steers_key(args.id)
local items, input, response, unclaimed_response = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record = record_of(id)
if not record or record.owner ~= owner or not record.response then return {'response_not_found'} end
if is_newer(record) then return {'newer_version'} end

local steers = read_fields(key, 'known:' .. args.key, 'outcome', 'count', 'bytes')
local known = steers['known:' .. args.key]
if known and steers.outcome == 'failed' then return {'failed', 'response_not_active', known} end
if known then return {'accepted', known} end
if not is_active(record) then
  local answered = record.status == 'completed' or record.status == 'incomplete'
  return {'failed', answered and 'response_already_completed' or 'response_not_active', ''}
end
if record.cancel_requested then return {'failed', 'response_not_active', ''} end
if record.batch then return {'failed', 'steering_not_supported', ''} end
local count, bytes = tonumber(steers.count or 0) + 1, tonumber(steers.bytes or 0) + args.bytes
if count > args.max_steers or bytes > args.max_bytes then return {'failed', 'too_many_pending_steers', ''} end
local _, _, excess = measure(id, bytes)
if excess then return {'conversation_too_long', excess} end

-- The successor's record is counted when it exists; there must be room for it.
local stored = bytes + #response
if not has_room(owner, stored + record_bytes(#record.request), args.limits.stored_bytes) then
  return {'limited', 'stored_bytes', FULL_MS}
end

if not record.successor then
  local use, limit, wait = take_rates(owner, args, now_ms())
  if limit then return {'limited', limit, math.ceil(wait), unpack(use)} end
  record.successor = args.successor
  redis.call('HSET', turn_key(id), 'successor', args.successor)
  local watched = redis.call('ZSCORE', watches_key(), id)
  redis.call('HSET', key, 'successor', args.successor, 'response', response, 'turn_seconds', args.turn_seconds,
    'watch_ms', watched and args.watch_ms or 0)
  local budgeted = has_budget(args.limits)
  if budgeted then redis.call('HSET', key, 'budget_day', args.day) end
  if budgeted or args.limits.tokens_per_minute > 0 then redis.call('HSET', key, 'reserved_tokens', args.tokens) end
end
redis.call('HSET', key, 'count', count, 'bytes', bytes, 'known:' .. args.key, args.steer, 'id:' .. count, args.steer,
  'items:' .. count, items, 'input:' .. count, input)
redis.call('EXPIRE', key, redis.call('TTL', turn_key(id)))
count_steers(id, owner, stored, math.max(args.store_seconds, args.turn_seconds + args.log_seconds))

if record.status == 'queued' then
  -- The successor takes its place in the queue.
  local queue = queue_key(record.model, record.tier)
  redis.call('HSET', key, 'tag', redis.call('ZSCORE', queue, record.queue_member))
  redis.call('ZREM', queue, record.queue_member)
  redis.call('HSET', turn_key(id), 'output', '')
  finish(id, record, 'response.incomplete', 'incomplete', 'null', unclaimed_response)
elseif record.worker then
  redis.call('PUBLISH', worker_channel_key(record.model, record.worker), 'steer ' .. id)
end
publish_outbox()
return {'accepted', args.steer}
