-- include: events, conversation, slots, owner
-- Give a worker the turn at the head of the queue, or none, and note how many slots it has free then.
-- A repeated nonce gets the same turn again, because a call that timed out may have run.
-- Turns whose record a newer release wrote stay in the queue where they are; those behind them are claimed.
-- Arguments: model, worker (names), nonce (text), free_slots (of the worker), lease_ms, alive_ms (milliseconds);
--   most_bytes (of a conversation, see `history` in conversation.lua);
--   preempted (id, optional): the batch turn whose slot is to be assigned before it is free. Then only a turn of
--   another tier is given.
-- Returns a list: id of a turn that was skipped because of its version, or ''; and when a turn is given also 1 if
--   others may wait, id, attempt, seq, request, input, response, token ids (comma-separated) of its log, texts of its history, 1 if it has
--   no readers, tier, list of the log probabilities (JSON) of these token ids, owner, system messages of its history,
--   1 if its history is cut, the turn that it continues if an earlier one was deleted, else '', milliseconds from its
--   submit to this claim, node that it was submitted at, request id, traceparent.

-- Newer records that one claim passes over, at most: this bounds its time.
local MAX_SKIPPED = 1000

local model, worker, preempted = args.model, args.worker, args.preempted
local newer, skipped = '', {}

local function pop_turn()
  local tier, size = next_tier(model)
  while tier and not (preempted and tier == 'batch') and #skipped < MAX_SKIPPED do
    local popped = redis.call('ZPOPMIN', queue_key(model, tier))
    local id = string.match(popped[1], ':(.*)$')
    local record = fields(id, 'status', 'version')
    if is_newer(record) then
      newer = id
      skipped[#skipped + 1] = {tier = tier, member = popped[1], tag = popped[2]}
    elseif is_active(record) then
      local tag, clocks = tonumber(popped[2]), clocks_key(model)
      local clock = math.max(tag, tonumber(redis.call('HGET', clocks, tier) or 0))
      redis.call('ZREMRANGEBYSCORE', tags_key(model, tier), '-inf', tag)
      redis.call('HSET', clocks, tier, clock, 'served:' .. tier, redis.call('HINCRBY', clocks, 'claims', 1))
      return id, record.status, tier, size > 1
    end
    tier, size = next_tier(model)
  end
end

local previous = read_fields(claim_key(model, worker), 'nonce', 'id')
local id, status, tier
local others = true
if previous.nonce == args.nonce then
  id = previous.id ~= '' and previous.id or nil
  -- Given before, and since ended or claimed by another worker: there is nothing to give again.
  if id and redis.call('HGET', turn_key(id), 'worker') ~= worker then id = nil end
elseif redis.call('HEXISTS', draining_key(model), worker) == 0
  and (not preempted or redis.call('ZSCORE', preemptible_key(model), preempted)) then
  id, status, tier, others = pop_turn()
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

local record = record_of(id)
if status == 'queued' then
  begin_log(id, record)
  stop_waiting(record.owner, record.batch)
  record.seq = tonumber(record.seq) + 1
  redis.call('HSET', turn_key(id), 'seq', record.seq)
  local event = lifecycle('response.in_progress', record.seq, 'in_progress', 'null', '', record.response)
  emit(id, record.seq, event, '', false, record.nodes)
  publish_outbox()
end

local token_ids, logprobs = {}, {}
if tonumber(record.attempt) > 1 then
  for _, entry in ipairs(redis.call('XRANGE', log_key(id), '-', '+')) do
    if entry[2][4] then token_ids[#token_ids + 1] = entry[2][4] end
    if entry[2][6] then logprobs[#logprobs + 1] = entry[2][6] end
  end
end

local before = history(record.previous_response_id, args.most_bytes)
return {newer, others and 1 or 0, id, tonumber(record.attempt), tonumber(record.seq), record.request, record.input, record.response,
  table.concat(token_ids, ','), before.texts, record.nodes == NO_READERS and 1 or 0,
  record.tier, logprobs, record.owner, before.system, before.cut and 1 or 0,
  before.missing and record.previous_response_id or '', record.claimed_at - (record.queued_at or record.claimed_at),
  origin_node(record), record.request_id or '', record.traceparent or ''}
