-- include: statistics
-- Counts the turns of an owner against its limits. Turns of a batch are not counted.

-- Leaky bucket, drained continuously at the limit per minute. Returns what is left in it now.
local function left_in(bucket, at, per_minute, now)
  return math.max(0, tonumber(bucket or 0) - per_minute * (now - tonumber(at or now)) / 60000)
end

-- Whether an owner has a budget at all.
local function has_budget(limits)
  return limits.tokens_per_day > 0 or limits.tokens_per_month > 0
end

-- An owner's tokens of one day and of one month, UTC. `day` is that of now, such as 2026-11-28.
local function spent_of(owner, day)
  local used = read_fields(usage_key(owner), 'day', 'day_tokens', 'month', 'month_tokens')
  local month = string.sub(day, 1, 7)
  local today = used.day == day and tonumber(used.day_tokens) or 0
  local this_month = used.month == month and tonumber(used.month_tokens) or 0
  return {day = day, today = today, month = month, this_month = this_month}
end

-- Count tokens that are about to be used. They may be more than is left: who calls has checked that or does not mind.
local function spend(owner, spent, tokens)
  spent.today, spent.this_month = spent.today + tokens, spent.this_month + tokens
  redis.call('HSET', usage_key(owner), 'day', spent.day, 'day_tokens', spent.today, 'month', spent.month, 'month_tokens',
    spent.this_month)
  redis.call('EXPIRE', usage_key(owner), 32 * 86400)
end

-- The name of an owner's budget that so many more tokens would exceed. One that is not used up at all takes any turn.
local function exceeded(limits, spent, tokens)
  local function too_many(most, used) return most > 0 and used > 0 and used + math.min(tokens, most) > most end
  if too_many(limits.tokens_per_day, spent.today) then return 'tokens_per_day' end
  if too_many(limits.tokens_per_month, spent.this_month) then return 'tokens_per_month' end
end

-- After how many milliseconds a client is told to try again whose owner has stored all that it may: when something
-- expires or is deleted.
local FULL_MS = 60000

-- Return how many of an owner's requests of a kind count now, of which it may have so many per minute; and after how
-- many milliseconds there is room for so many more, nil if there is.
local function count_of(owner, kind, per_minute, now, more)
  local used = read_fields(owner_key(owner), kind, kind .. '_at')
  local spent = left_in(used[kind], used[kind .. '_at'], per_minute, now)
  return spent, spent + more > per_minute and (spent + more - per_minute) * 60000 / per_minute or nil
end

-- Count one more of an owner's requests of a kind, of which it may have so many per minute; 0 is no limit. Returns nil,
-- or after how many milliseconds there is room for another.
local function take_one(owner, kind, per_minute, now)
  if per_minute == 0 then return nil end
  local key, spent, wait = owner_key(owner), count_of(owner, kind, per_minute, now, 1)
  if wait then return wait end
  redis.call('HSET', key, kind, spent + 1, kind .. '_at', now)
  -- The bucket is empty after a minute. An owner with turns has a longer life.
  if redis.call('TTL', key) < 120 then redis.call('EXPIRE', key, 120) end
end

-- Return what an owner has used of its limits per minute and of its budgets. `request` has limits and day (of now, UTC).
local function rates_of(owner, request, now)
  local limits = request.limits
  local used = read_fields(owner_key(owner), 'requests', 'tokens', 'at')
  return {
    requests = left_in(used.requests, used.at, limits.requests_per_minute, now),
    tokens = left_in(used.tokens, used.at, limits.tokens_per_minute, now),
    budget = has_budget(limits) and spent_of(owner, request.day),
  }
end

-- Return the same as numbers for a reply.
local function use_of(limits, rates)
  local budget = rates.budget or {today = 0, this_month = 0}
  return {limits.requests_per_minute > 0 and math.ceil(rates.requests) or 0,
    limits.tokens_per_minute > 0 and math.ceil(rates.tokens) or 0, budget.today, budget.this_month}
end

-- Count one more request of an owner, and its tokens. `request` has limits (requests_per_minute and tokens_per_minute; 0
-- is no limit; tokens_per_day and tokens_per_month), tokens (estimate), day (whose budget, and that of its month, they
-- are counted against), siblings (requests that come next, for which there must be room too) and, if its key has a
-- limit of its own, api_key and requests_per_minute.
-- Returns what is used of the four now; and then, if a limit is reached, its name and after how many milliseconds it may
-- not be any more (of a budget: 0). With the key's own limit it returns no use.
local function take_rates(owner, request, now)
  local limits, siblings, tokens = request.limits, request.siblings, request.tokens
  local per_minute, tokens_per_minute = limits.requests_per_minute, limits.tokens_per_minute
  local rates = rates_of(owner, request, now)
  -- The key's own limit is counted like an owner's. A turn that the owner may not have does not count.
  local holder = request.requests_per_minute and 'key:' .. request.api_key
  if holder then
    local _, wait = count_of(holder, 'requests', request.requests_per_minute, now, 1 + siblings)
    if wait then return {}, 'requests_per_minute', wait end
  end
  if per_minute > 0 and rates.requests + 1 + siblings > per_minute then
    return use_of(limits, rates), 'requests_per_minute', (rates.requests + 1 + siblings - per_minute) * 60000 / per_minute
  end
  -- A request that needs more than the whole limit is accepted when nothing else was used.
  local needs = math.min(tokens * (1 + siblings), tokens_per_minute)
  if tokens_per_minute > 0 and rates.tokens + needs > tokens_per_minute then
    return use_of(limits, rates), 'tokens_per_minute',
      (rates.tokens + needs - tokens_per_minute) * 60000 / tokens_per_minute
  end
  local over = rates.budget and exceeded(limits, rates.budget, tokens * (1 + siblings))
  if over then return use_of(limits, rates), over, 0 end
  if rates.budget then spend(owner, rates.budget, tokens) end
  if holder then take_one(holder, 'requests', request.requests_per_minute, now) end
  rates.requests, rates.tokens = rates.requests + 1, rates.tokens + tokens
  redis.call('HSET', owner_key(owner), 'requests', per_minute > 0 and rates.requests or 0,
    'tokens', tokens_per_minute > 0 and rates.tokens or 0, 'at', now)
  return use_of(limits, rates)
end

-- Count one more turn that has not ended, and waits.
local function count_live(owner)
  redis.call('HINCRBY', owner_key(owner), 'live', 1)
  redis.call('HINCRBY', owner_key(owner), 'waiting', 1)
end

-- Count one more turn of an owner against its limits: `request` as for `take_rates`, its limits also with in_flight
-- (turns that have not ended) and queued. Returns the same.
local function take_room(owner, model, request, now)
  local limits, siblings = request.limits, request.siblings
  local counted = read_fields(owner_key(owner), 'live', 'waiting')
  local live, waiting = tonumber(counted.live or 0), tonumber(counted.waiting or 0)
  local too_many = limits.in_flight > 0 and live + siblings >= limits.in_flight
  if too_many or (limits.queued > 0 and waiting + siblings >= limits.queued) then
    local stats = statistics_of(model, now)
    local soon = math.max(1000, stats and stats.all / math.max(live, 1) or 0)
    return use_of(limits, rates_of(owner, request, now)), too_many and 'in_flight' or 'queued', soon
  end
  local use, limit, wait = take_rates(owner, request, now)
  if not limit then count_live(owner) end
  return use, limit, wait
end

-- Note that a turn does not wait any more.
local function stop_waiting(owner, batch)
  if not batch then redis.call('HINCRBY', owner_key(owner), 'waiting', -1) end
end

-- Correct what was counted for a turn's tokens, which were `used`. `record` has owner, batch, reserved_tokens (what was
-- counted, nil if they are not limited) and budget_day (the day whose budget they were counted against).
local function give_tokens(record, used)
  local owner, reserved, day = record.owner, record.reserved_tokens, record.budget_day
  if day then
    -- A day that is over, or a month, is not corrected any more.
    local spent = read_fields(usage_key(owner), 'day', 'month')
    if spent.day == day then redis.call('HINCRBY', usage_key(owner), 'day_tokens', used - reserved) end
    if spent.month == string.sub(day, 1, 7) then
      redis.call('HINCRBY', usage_key(owner), 'month_tokens', used - reserved)
    end
  end
  if reserved and not record.batch then redis.call('HINCRBYFLOAT', owner_key(owner), 'tokens', used - reserved) end
end

-- Note that a turn has ended; `record` and `used` as for `give_tokens`.
local function give_room(record, used)
  give_tokens(record, used)
  if not record.batch then redis.call('HINCRBY', owner_key(record.owner), 'live', -1) end
end
