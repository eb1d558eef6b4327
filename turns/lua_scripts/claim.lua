-- include: events, conversation, slots, owner
-- Give a worker the turn at the head of the queue, or none, and note how many slots it has free then.
-- A repeated nonce gets the same turn again, because a call that timed out may have run.
-- Turns whose record a newer release wrote stay in the queue where they are; those behind them are claimed.
-- Arguments: model, worker (names), nonce (text), free_slots (of the worker), lease_ms, alive_ms (milliseconds);
--   preempted (id, optional): the batch turn whose slot is to be assigned before it is free. Then only a turn of
--   another tier is given.
-- Returns a list: id of a turn that was skipped because of its version, or ''; and when a turn is given also id,
--   attempt, seq, request, input, response, token ids (comma-separated) of its log, history (see conversation.lua),
--   1 if it has no readers, tier, list of the log probabilities (JSON) of these token ids,
--   owner.

-- Newer records that one claim passes over, at most: this bounds its time.
local MAX_SKIPPED = 1000

local model, worker, preempted = args.model, args.worker, args.preempted
local newer, skipped = '', {}

local function pop_turn()
  local slots = capacity_of(model, now_ms()).slots
  local tier = next_tier(model, slots)
  while tier and not (preempted and tier == 'batch') and #skipped < MAX_SKIPPED do
    local popped = redis.call('ZPOPMIN', queue_key(model, tier))
    local id = string.match(popped[1], ':(.*)$')
    local record = fields(id, 'status', 'version')
    if is_newer(record) then
      newer = id
      skipped[#skipped + 1] = {tier = tier, member = popped[1], tag = popped[2]}
    elseif is_active(record) then
      local tag, clocks = tonumber(popped[2]), clocks_key(model)
      if tag > tonumber(redis.call('HGET', clocks, tier) or 0) then redis.call('HSET', clocks, tier, tag) end
      redis.call('ZREMRANGEBYSCORE', tags_key(model, tier), '-inf', tag)
      redis.call('HSET', clocks, 'served:' .. tier, redis.call('HINCRBY', clocks, 'claims', 1))
      return id, record.status, tier
    end
    tier = next_tier(model, slots)
  end
end

local previous = read_fields(claim_key(model, worker), 'nonce', 'id')
local id, status, tier
if previous.nonce == args.nonce then
  id = previous.id ~= '' and previous.id or nil
  -- Given before, and since ended or claimed by another worker: there is nothing to give again.
  if id and redis.call('HGET', turn_key(id), 'worker') ~= worker then id = nil end
elseif not preempted or redis.call('ZSCORE', preemptible_key(model), preempted) then
  id, status, tier = pop_turn()
  for _, turn in ipairs(skipped) do redis.call('ZADD', queue_key(model, turn.tier), turn.tag, turn.member) end
  redis.call('HSET', claim_key(model, worker), 'nonce', args.nonce, 'id', id or '')
  if id then
    take_slot(id, model, tier, worker, now_ms(), args.lease_ms)
    if preempted then give_slot(preempted, model) end
  end
end
if id or not preempted then
  local free_slots = id and math.max(args.free_slots - 1, 0) or args.free_slots
  redis.call('HSET', free_slots_key(model), worker, free_slots)
end
if not id then return {newer} end

if status == 'queued' then
  local waited = record_of(id)
  begin_log(id, waited)
  stop_waiting(waited.owner, waited.batch)
  local seq = tonumber(waited.seq) + 1
  redis.call('HSET', turn_key(id), 'seq', seq)
  local event = lifecycle('response.in_progress', seq, 'in_progress', 'null', '', waited.response)
  emit(id, seq, event, '', false, waited.nodes)
  publish_outbox()
end

local record = fields(id, 'attempt', 'seq', 'request', 'input', 'response', 'previous_response_id', 'nodes', 'tier',
  'owner')
local token_ids, logprobs = {}, {}
if tonumber(record.attempt) > 1 then
  for _, entry in ipairs(redis.call('XRANGE', log_key(id), '-', '+')) do
    if entry[2][4] then token_ids[#token_ids + 1] = entry[2][4] end
    if entry[2][6] then logprobs[#logprobs + 1] = entry[2][6] end
  end
end

return {newer, id, tonumber(record.attempt), tonumber(record.seq), record.request, record.input, record.response,
  table.concat(token_ids, ','), history(record.previous_response_id), record.nodes == NO_READERS and 1 or 0,
  record.tier, logprobs, record.owner}
