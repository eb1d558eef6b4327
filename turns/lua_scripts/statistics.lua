-- include: queue
-- Estimates how long a turn will wait, from recent durations of turns and arrival rates.

-- A tier's average duration is over about this many turns, older ones weighing less.
local REMEMBERED = 32
-- Arrival rates are over about this long.
local ARRIVALS_MS = 120000

-- Add the time that a turn had a slot to its tier's average.
local function record_duration(model, tier, ms)
  local known = redis.call('HMGET', statistics_key(model), 'turns:' .. tier, 'ms:' .. tier)
  local turns = math.min(tonumber(known[1] or 0) + 1, REMEMBERED)
  local average = tonumber(known[2] or ms)
  redis.call('HSET', statistics_key(model), 'turns:' .. tier, turns, 'ms:' .. tier, average + (ms - average) / turns)
end

-- Count an arrival in a tier, and if its owner had no waiting turn as one of 'idle-owners:' and the tier as well: the
-- turns of such owners go before those of owners who have some.
local function record_arrival(model, tier, idle, now)
  local names, changes = {}, {}
  for _, kind in ipairs({tier, idle and 'idle-owners:' .. tier or nil}) do
    for _, name in ipairs({'rate:', 'at:', 'from:'}) do names[#names + 1] = name .. kind end
  end
  local known = redis.call('HMGET', statistics_key(model), unpack(names))
  for i = 1, #names, 3 do
    local faded = tonumber(known[i] or 0) * math.exp((tonumber(known[i + 1] or now) - now) / ARRIVALS_MS)
    for n, value in ipairs({faded + 1 / ARRIVALS_MS, now, known[i + 2] or now}) do
      changes[#changes + 1] = names[i + n - 1]
      changes[#changes + 1] = value
    end
  end
  redis.call('HSET', statistics_key(model), unpack(changes))
end

-- Return a model's statistics now: average milliseconds of a turn by tier (`ms`) and in all (`all`), and a function
-- `rate(kind)` for arrivals per millisecond. nil while no turn has ended.
local function statistics_of(model, now)
  local flat, known = redis.call('HGETALL', statistics_key(model)), {}
  for i = 1, #flat, 2 do known[flat[i]] = tonumber(flat[i + 1]) end
  local all, count = 0, 0
  for _, tier in ipairs(TIERS) do
    local turns = known['turns:' .. tier] or 0
    all, count = all + turns * (known['ms:' .. tier] or 0), count + turns
  end
  if count == 0 then return nil end
  local stats = {ms = {}, all = all / count}
  for _, tier in ipairs(TIERS) do stats.ms[tier] = known['ms:' .. tier] or stats.all end
  function stats.rate(kind)
    local at = known['at:' .. kind]
    if not at then return 0 end
    -- Time before the first arrival was recorded does not count as time without arrivals.
    local remembered = 1 - math.exp((known['from:' .. kind] - now) / ARRIVALS_MS)
    return known['rate:' .. kind] * math.exp((at - now) / ARRIVALS_MS) / math.max(remembered, 0.1)
  end
  return stats
end

-- Return the estimated milliseconds until a turn is claimed, its position and the queue's size. The estimate is nil
-- while there are no statistics or no live worker.
local function wait_ms(model, tier, member, capacity, now)
  local position, size, rank, above = place(model, tier, member, capacity.slots)
  local preemptible = redis.call('ZCARD', preemptible_key(model))
  local slots, ready = capacity.slots, capacity.free
  if tier ~= 'batch' and preemptible > 0 and slots > 1 then
    -- All slots of batch turns but one are preempted when other tiers need them.
    slots, ready = slots - 1, ready + preemptible - 1
  end
  if slots == 0 then return nil, position, size end
  if position <= ready then return 0, position, size end
  local stats = statistics_of(model, now)
  if not stats then return nil, position, size end

  -- Slot time needed by the turns ahead of this one, and by those that arrive ahead of it per millisecond.
  local ahead, arriving = rank * stats.ms[tier], 0
  for _, name in ipairs(TIERS) do
    if name == tier then break end
    ahead = ahead + redis.call('ZCARD', queue_key(model, name)) * stats.ms[name]
    arriving = arriving + stats.rate(name) * stats.ms[name]
  end
  local each = ahead / (rank + above)
  local behind = tonumber(redis.call('ZSCORE', queue_key(model, tier), member))
    - tonumber(redis.call('HGET', clocks_key(model), tier) or 0)
  if behind > 1 then arriving = arriving + stats.rate('idle-owners:' .. tier) * stats.ms[tier] end

  -- Geometric mean of the wait without arrivals and the wait at the current rate, which seldom lasts that long.
  local alone = (position - ready) * each / slots
  local longer = slots / math.max(slots - arriving, slots / share_interval(slots))
  return alone * math.sqrt(longer), position, size
end

-- Return a turn's queue place as the record keeps it ("position size eta_seconds workers"), and its position.
local function queue_place(model, tier, member, capacity, now)
  local wait, position, size = wait_ms(model, tier, member, capacity, now)
  local eta = wait and string.format('%.1f', wait / 1000) or 'null'
  return position .. ' ' .. size .. ' ' .. eta .. ' ' .. capacity.workers, position
end
