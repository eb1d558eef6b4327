-- include: statistics
-- Read what operators look at: each model's workers, queue and waits. Changes nothing; the time it takes is bounded by
-- the number of models and workers, not by the number of turns.
-- Arguments: alive_ms; max_models (models that are reported, by name).
-- Returns {models, batches}: for each model {name, workers, slots, free slots, tiers}, for each tier {tier, waiting, ms
--   that the oldest has waited, ms until the last one is claimed or -1}; and how many batches have not ended.

-- In the fair queue an owner's oldest turn is among those with the lowest tags, and of equal tags the oldest is first.
-- So the first turn of each of a few tags is looked at.
local TAGS = 8

local now = now_ms()

-- Return when a turn began to wait. One that was claimed before waits since its last claim, or later.
local function waiting_since(member)
  local id = string.match(member, ':(.*)$')
  local record = fields(id, 'status', 'queued_at', 'claimed_at')
  local since = record.status == 'in_progress' and record.claimed_at or record.queued_at
  return tonumber(since or now)
end

local function oldest_wait_ms(queue)
  local oldest, above = now, '-inf'
  for _ = 1, TAGS do
    local first = redis.call('ZRANGEBYSCORE', queue, above, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if not first[1] then break end
    oldest = math.min(oldest, waiting_since(first[1]))
    above = '(' .. first[2]
  end
  return now - oldest
end

local function tiers_of(model, capacity)
  local tiers, waiting = {}, queue_sizes(model)
  for _, tier in ipairs(TIERS) do
    local queue, wait = queue_key(model, tier), capacity.free > 0 and 0 or nil
    if waiting[tier] > 0 then
      wait = wait_ms(model, tier, redis.call('ZRANGE', queue, -1, -1)[1], capacity, now)
    end
    tiers[#tiers + 1] = {tier, waiting[tier], oldest_wait_ms(queue), wait and math.floor(wait) or -1}
  end
  return tiers
end

local names, known = redis.call('SMEMBERS', requested_models_key()), {}
for _, name in ipairs(names) do known[name] = true end
local served = redis.call('HGETALL', models_key())
for i = 1, #served, 2 do
  if not known[served[i]] then names[#names + 1] = served[i] end
end
table.sort(names)

local models = {}
for i = 1, math.min(#names, args.max_models) do
  local model = names[i]
  local capacity = capacity_of(model, now)
  models[i] = {model, capacity.workers, capacity.slots, capacity.free, tiers_of(model, capacity)}
end
return {models, redis.call('ZCARD', batch_leases_key())}
