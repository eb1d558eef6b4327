-- Put in front of every script, after the prelude: who is next, and where in line a turn stands.

-- Tiers are strict, but for one claim in so many: it goes to the tier, of the others that wait, that was served
-- longest ago. That is one slot's worth, so it is as many as the model has slots.
local LEAST_BETWEEN_FLOORS = 8

-- The workers of a model that were heard of lately, the slots they have, and how many of those are free.
local function staff(model, alive_since)
  local workers = redis.call('ZRANGEBYSCORE', heartbeats_key(model), alive_since, '+inf')
  local slots, free = 0, 0
  if #workers > 0 then
    for _, has in ipairs(redis.call('HMGET', slots_key(model), unpack(workers))) do slots = slots + tonumber(has or 0) end
    for _, has in ipairs(redis.call('HMGET', free_slots_key(model), unpack(workers))) do free = free + tonumber(has or 0) end
  end
  return {workers = #workers, slots = slots, free = free, names = workers}
end

local function between_floors(slots)
  return math.max(LEAST_BETWEEN_FLOORS, slots)
end

-- How many wait for a model in each tier, and in all.
local function crowd(model)
  local waiting, size = {}, 0
  for _, tier in ipairs(TIERS) do
    waiting[tier] = redis.call('ZCARD', queue_key(model, tier))
    size = size + waiting[tier]
  end
  return waiting, size
end

-- The tier that a model's next claim goes to; nil when nobody waits.
local function next_tier(model, slots)
  local waiting, size = crowd(model)
  if size == 0 then return nil end
  local best
  for _, tier in ipairs(TIERS) do
    if waiting[tier] > 0 then best = tier break end
  end
  local claims = tonumber(redis.call('HGET', clocks_key(model), 'claims') or 0) + 1
  if waiting[best] == size or claims % between_floors(slots) ~= 0 then return best end
  local longest_ago, served = nil, nil
  for i = #TIERS, 1, -1 do
    local tier = TIERS[i]
    if tier ~= best and waiting[tier] > 0 then
      local last = tonumber(redis.call('HGET', clocks_key(model), 'served:' .. tier) or 0)
      -- A batch that has a slot keeps it, and that is its share.
      local shares = tier ~= 'batch' or redis.call('ZCARD', preemptible_key(model)) == 0
      if shares and (not served or last < served) then longest_ago, served = tier, last end
    end
  end
  return longest_ago or best
end

-- Where a turn stands among all that wait for its model: which claim from now on will be its, if nobody else comes.
local function place(model, tier, member, slots)
  local waiting, size = crowd(model)
  local rank = redis.call('ZRANK', queue_key(model, tier), member) + 1
  local above, sharing, passed = 0, 0, false
  for _, name in ipairs(TIERS) do
    if name == tier then passed = true end
    if not passed then above = above + waiting[name] end
    if waiting[name] > 0 then sharing = sharing + 1 end
  end
  -- Floors are for all but the best tier, in turn.
  sharing = sharing - 1
  if sharing == 0 then return rank, size, rank, above end
  local every = between_floors(slots)
  local first = every - tonumber(redis.call('HGET', clocks_key(model), 'claims') or 0) % every
  local below_best = size
  for _, name in ipairs(TIERS) do
    if waiting[name] > 0 then below_best = size - waiting[name] break end
  end
  -- The least number of claims after which this turn has had its own.
  local low, high = 1, size
  while low < high do
    local claims = math.floor((low + high) / 2)
    local floors = claims < first and 0 or 1 + math.floor((claims - first) / every)
    floors = math.min(floors, below_best)
    local own = math.max(0, claims - floors - above)
    if above > 0 then own = own + math.floor(floors / sharing) end
    if own >= rank then high = claims else low = claims + 1 end
  end
  return low, size, rank, above
end
