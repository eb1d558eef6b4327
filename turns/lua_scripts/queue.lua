-- include: prelude
-- Reads a model's queue: its workers, its sizes, which tier is next, and the position of a turn.
-- Argument: args.alive_ms, how long after its last heartbeat a worker counts as live (milliseconds).

-- Tiers are strict except for a minimum share: one claim in this many goes to the tier, of the others that wait, that
-- was served longest ago. Each such claim takes one slot, so the interval is at least the model's number of slots.
local MINIMUM_SHARE_INTERVAL = 8

-- Return the live workers of a model that claim turns: not those that are draining.
local function claiming_workers(model, now)
  local live = redis.call('ZRANGEBYSCORE', heartbeats_key(model), now - args.alive_ms, '+inf')
  local draining = redis.call('HGETALL', draining_key(model))
  if #draining == 0 then return live end
  local left, claiming = {}, {}
  for i = 1, #draining, 2 do left[draining[i]] = true end
  for _, name in ipairs(live) do
    if not left[name] then claiming[#claiming + 1] = name end
  end
  return claiming
end

-- Return how many live workers a model has, their slots, how many of those are free, and the name of the worker that
-- has the most free slots (`freest`); nil when none has one.
local function capacity_of(model, now)
  local workers = claiming_workers(model, now)
  local slots, free, freest, most = 0, 0, nil, 0
  if #workers > 0 then
    for _, number in ipairs(redis.call('HMGET', slots_key(model), unpack(workers))) do
      slots = slots + tonumber(number or 0)
    end
    for i, number in ipairs(redis.call('HMGET', free_slots_key(model), unpack(workers))) do
      local own = tonumber(number or 0)
      free = free + own
      if own > most then freest, most = workers[i], own end
    end
  end
  return {workers = #workers, slots = slots, free = free, freest = freest}
end

local function share_interval(slots)
  return math.max(MINIMUM_SHARE_INTERVAL, slots)
end

-- Return how many turns wait for a model in each tier, and in all.
local function queue_sizes(model)
  local waiting, size = {}, 0
  for _, tier in ipairs(TIERS) do
    waiting[tier] = redis.call('ZCARD', queue_key(model, tier))
    size = size + waiting[tier]
  end
  return waiting, size
end

-- Return the tier that a model's next claim goes to, and how many turns wait; nil when none does.
local function next_tier(model)
  local waiting, size = queue_sizes(model)
  if size == 0 then return nil end
  local best
  for _, tier in ipairs(TIERS) do
    if waiting[tier] > 0 then best = tier break end
  end
  if waiting[best] == size then return best, size end
  local claims = tonumber(redis.call('HGET', clocks_key(model), 'claims') or 0) + 1
  if claims % share_interval(capacity_of(model, now_ms()).slots) ~= 0 then return best, size end
  local longest_ago, served = nil, nil
  for i = #TIERS, 1, -1 do
    local tier = TIERS[i]
    if tier ~= best and waiting[tier] > 0 then
      local last = tonumber(redis.call('HGET', clocks_key(model), 'served:' .. tier) or 0)
      -- A batch turn that has a slot keeps it: that slot is the batch tier's share.
      local shares = tier ~= 'batch' or redis.call('ZCARD', preemptible_key(model)) == 0
      if shares and (not served or last < served) then longest_ago, served = tier, last end
    end
  end
  return longest_ago or best, size
end

-- Return the position of a turn among all that wait for its model (which claim from now on takes it if no other turn
-- is submitted), the queue's size, the turn's rank in its tier and how many wait in better tiers.
local function place(model, tier, member, slots)
  local waiting, size = queue_sizes(model)
  local rank = redis.call('ZRANK', queue_key(model, tier), member) + 1
  local above, sharing, passed = 0, 0, false
  for _, name in ipairs(TIERS) do
    if name == tier then passed = true end
    if not passed then above = above + waiting[name] end
    if waiting[name] > 0 then sharing = sharing + 1 end
  end
  -- All tiers but the best take the minimum share in turn.
  sharing = sharing - 1
  if sharing == 0 then return rank, size, rank, above end
  local every = share_interval(slots)
  local first = every - tonumber(redis.call('HGET', clocks_key(model), 'claims') or 0) % every
  local below_best = size
  for _, name in ipairs(TIERS) do
    if waiting[name] > 0 then below_best = size - waiting[name] break end
  end
  -- Binary search for the least number of claims after which this turn is claimed.
  local low, high = 1, size
  while low < high do
    local claims = math.floor((low + high) / 2)
    local shared = claims < first and 0 or 1 + math.floor((claims - first) / every)
    shared = math.min(shared, below_best)
    local own = math.max(0, claims - shared - above)
    if above > 0 then own = own + math.floor(shared / sharing) end
    if own >= rank then high = claims else low = claims + 1 end
  end
  return low, size, rank, above
end
