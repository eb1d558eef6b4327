-- Put in front of every script, after the slots: what an owner has asked for. Lines of a batch are not counted.

-- Use of a limit by the minute flows off all the time, as if through a hole in a bucket. What is left now.
local function left_in(bucket, at, per_minute, now)
  return math.max(0, tonumber(bucket or 0) - per_minute * (now - tonumber(at or now)) / 60000)
end

-- Take up room for one more turn. Gives nothing, or which limit is in the way and after how many milliseconds it may
-- be no more. Limits: turns that have not ended, turns that wait, requests and tokens a minute; 0 is none.
local function take_room(owner, model, limits, tokens, now)
  local key = owner_key(owner)
  local has = redis.call('HMGET', key, 'live', 'waiting', 'requests', 'tokens', 'at')
  local live, waiting = tonumber(has[1] or 0), tonumber(has[2] or 0)
  local pace = pace_of(model, now)
  local soon = math.max(1000, pace and pace.all / math.max(live, 1) or 0)
  if limits[1] > 0 and live >= limits[1] then return 'in_flight', soon end
  if limits[2] > 0 and waiting >= limits[2] then return 'queued', soon end
  local requests, used = left_in(has[3], has[5], limits[3], now), left_in(has[4], has[5], limits[4], now)
  if limits[3] > 0 and requests + 1 > limits[3] then
    return 'requests_per_minute', (requests + 1 - limits[3]) * 60000 / limits[3]
  end
  -- What is more than a minute may ever use goes when nothing else was used.
  local needs = math.min(tokens, limits[4])
  if limits[4] > 0 and used + needs > limits[4] then
    return 'tokens_per_minute', (used + needs - limits[4]) * 60000 / limits[4]
  end
  redis.call('HSET', key, 'live', live + 1, 'waiting', waiting + 1, 'requests', limits[3] > 0 and requests + 1 or 0,
    'tokens', limits[4] > 0 and used + tokens or 0, 'at', now)
end

-- A turn does not wait any more.
local function stop_waiting(owner, batch)
  if not batch then redis.call('HINCRBY', owner_key(owner), 'waiting', -1) end
end

-- A turn has ended. `cost` is what was taken for its tokens, if they are counted; `used` is what they were.
local function give_room(owner, batch, cost, used)
  if batch then return end
  redis.call('HINCRBY', owner_key(owner), 'live', -1)
  if cost then redis.call('HINCRBYFLOAT', owner_key(owner), 'tokens', used - cost) end
end
