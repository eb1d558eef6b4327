-- include: statistics
-- Counts the turns of an owner against its limits. Turns of a batch are not counted.

-- Leaky bucket, drained continuously at the limit per minute. Returns what is left in it now.
local function left_in(bucket, at, per_minute, now)
  return math.max(0, tonumber(bucket or 0) - per_minute * (now - tonumber(at or now)) / 60000)
end

-- Count one more turn of an owner against its limits. `limits` has in_flight (turns that have not ended), queued,
-- requests_per_minute and tokens_per_minute; 0 is no limit. There must also be room for `siblings` turns that come next.
-- Returns what is used of the last two now; and then, if a limit is reached, its name and after how many milliseconds it
-- may not be any more.
local function take_room(owner, model, limits, tokens, now, siblings)
  local key = owner_key(owner)
  local used = read_fields(key, 'live', 'waiting', 'requests', 'tokens', 'at')
  local live, waiting = tonumber(used.live or 0), tonumber(used.waiting or 0)
  local per_minute, tokens_per_minute = limits.requests_per_minute, limits.tokens_per_minute
  local requests = left_in(used.requests, used.at, per_minute, now)
  local spent = left_in(used.tokens, used.at, tokens_per_minute, now)
  local use = {math.ceil(requests), math.ceil(spent)}
  local too_many = limits.in_flight > 0 and live + siblings >= limits.in_flight
  if too_many or (limits.queued > 0 and waiting + siblings >= limits.queued) then
    local stats = statistics_of(model, now)
    local soon = math.max(1000, stats and stats.all / math.max(live, 1) or 0)
    return use, too_many and 'in_flight' or 'queued', soon
  end
  if per_minute > 0 and requests + 1 + siblings > per_minute then
    return use, 'requests_per_minute', (requests + 1 + siblings - per_minute) * 60000 / per_minute
  end
  -- A request that needs more than the whole limit is accepted when nothing else was used.
  local needs = math.min(tokens * (1 + siblings), tokens_per_minute)
  if tokens_per_minute > 0 and spent + needs > tokens_per_minute then
    return use, 'tokens_per_minute', (spent + needs - tokens_per_minute) * 60000 / tokens_per_minute
  end
  redis.call('HSET', key, 'live', live + 1, 'waiting', waiting + 1, 'requests', per_minute > 0 and requests + 1 or 0,
    'tokens', tokens_per_minute > 0 and spent + tokens or 0, 'at', now)
  return {per_minute > 0 and math.ceil(requests + 1) or 0, tokens_per_minute > 0 and math.ceil(spent + tokens) or 0}
end

-- Note that a turn does not wait any more.
local function stop_waiting(owner, batch)
  if not batch then redis.call('HINCRBY', owner_key(owner), 'waiting', -1) end
end

-- Note that a turn has ended. `reserved` is what was counted for its tokens, nil if they are not limited; `used` is
-- how many they were.
local function give_room(owner, batch, reserved, used)
  if batch then return end
  redis.call('HINCRBY', owner_key(owner), 'live', -1)
  if reserved then redis.call('HINCRBYFLOAT', owner_key(owner), 'tokens', used - reserved) end
end
