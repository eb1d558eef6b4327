-- Give a worker the turn at the head of the line, or nothing, and note how many slots it has free then.
-- A repeated nonce gets the same turn again: a call that timed out may have run.
local model, worker, nonce = ARGV[1], ARGV[2], ARGV[3]
local free_slots, lease_ms, alive_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- A batch turn that is giving its slot back: the slot may be taken already, but only by one of those it is wanted for.
local preempted = ARGV[7]

local function head_of_queue()
  local slots = staff(model, now_ms() - alive_ms).slots
  local tier = next_tier(model, slots)
  while tier and not (preempted ~= '' and tier == 'batch') do
    local popped = redis.call('ZPOPMIN', queue_key(model, tier))
    local id = string.match(popped[1], ':(.*)$')
    local status = redis.call('HGET', turn_key(id), 'status')
    if status == 'queued' or status == 'in_progress' then
      local tag, clocks = tonumber(popped[2]), clocks_key(model)
      if tag > tonumber(redis.call('HGET', clocks, tier) or 0) then redis.call('HSET', clocks, tier, tag) end
      redis.call('ZREMRANGEBYSCORE', tags_key(model, tier), '-inf', tag)
      redis.call('HSET', clocks, 'served:' .. tier, redis.call('HINCRBY', clocks, 'claims', 1))
      return id, status, tier
    end
    tier = next_tier(model, slots)
  end
end

local previous = redis.call('HMGET', claim_key(model, worker), 'nonce', 'id')
local id, status, tier
if previous[1] == nonce then
  id = previous[2] ~= '' and previous[2] or nil
  -- Answered before, and since ended or taken by another worker: nothing to do again.
  if id and redis.call('HGET', turn_key(id), 'worker') ~= worker then id = nil end
elseif preempted == '' or redis.call('ZSCORE', preemptible_key(model), preempted) then
  id, status, tier = head_of_queue()
  redis.call('HSET', claim_key(model, worker), 'nonce', nonce, 'id', id or '')
  if id then
    take_slot(id, model, tier, worker, now_ms(), lease_ms)
    if preempted ~= '' then give_slot(preempted, model) end
  end
end
if id or preempted == '' then
  redis.call('HSET', free_slots_key(model), worker, id and math.max(free_slots - 1, 0) or free_slots)
end
if not id then return {} end

if status == 'queued' then
  local waited = record_of(id)
  begin_log(id, waited)
  stop_waiting(waited.owner, waited.batch)
  local seq = tonumber(waited.seq) + 1
  redis.call('HSET', turn_key(id), 'seq', seq)
  emit(id, seq, lifecycle('response.in_progress', seq, 'in_progress', 'null', '', waited.response), '', false,
    waited.nodes)
  publish_outbox()
end

local record = redis.call('HMGET', turn_key(id), 'attempt', 'seq', 'request', 'input', 'response', 'parent',
  'nodes', 'tier')
local ids = {}
if tonumber(record[1]) > 1 then
  for _, entry in ipairs(redis.call('XRANGE', log_key(id), '-', '+')) do
    if entry[2][4] then ids[#ids + 1] = entry[2][4] end
  end
end

return {id, tonumber(record[1]), tonumber(record[2]), record[3], record[4], record[5], table.concat(ids, ','),
  said_before(record[6]), record[7] == NOBODY and 1 or 0, record[8]}
