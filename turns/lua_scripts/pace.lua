-- Put in front of every script, after the slots: how long a turn will wait, from how fast turns have been answered
-- and how fast they come.

-- So many turns of a tier are remembered, the older the less.
local REMEMBERED = 32
-- And arrivals of about so long.
local ARRIVALS_MS = 120000

-- Learn how long a turn had a slot.
local function learn_pace(model, tier, ms)
  local known = redis.call('HMGET', pace_key(model), 'turns:' .. tier, 'ms:' .. tier)
  local turns = math.min(tonumber(known[1] or 0) + 1, REMEMBERED)
  local average = tonumber(known[2] or ms)
  redis.call('HSET', pace_key(model), 'turns:' .. tier, turns, 'ms:' .. tier, average + (ms - average) / turns)
end

-- Learn that a turn came. Those of owners who had nothing in line count by themselves: they pass whoever has.
local function learn_arrival(model, kind, now)
  local known = redis.call('HMGET', pace_key(model), 'rate:' .. kind, 'at:' .. kind, 'from:' .. kind)
  local faded = tonumber(known[1] or 0) * math.exp((tonumber(known[2] or now) - now) / ARRIVALS_MS)
  redis.call('HSET', pace_key(model), 'rate:' .. kind, faded + 1 / ARRIVALS_MS, 'at:' .. kind, now,
    'from:' .. kind, known[3] or now)
end

-- What a model's pace is now: milliseconds for a turn of each tier, and turns that come each millisecond.
local function pace_of(model, now)
  local fields, known = redis.call('HGETALL', pace_key(model)), {}
  for i = 1, #fields, 2 do known[fields[i]] = tonumber(fields[i + 1]) end
  local all, count = 0, 0
  for _, tier in ipairs(TIERS) do
    local turns = known['turns:' .. tier] or 0
    all, count = all + turns * (known['ms:' .. tier] or 0), count + turns
  end
  if count == 0 then return nil end
  local pace = {ms = {}, all = all / count}
  for _, tier in ipairs(TIERS) do pace.ms[tier] = known['ms:' .. tier] or pace.all end
  function pace.rate(kind)
    local at = known['at:' .. kind]
    if not at then return 0 end
    -- What was not there to be remembered is not counted as silence.
    local remembered = 1 - math.exp((known['from:' .. kind] - now) / ARRIVALS_MS)
    return known['rate:' .. kind] * math.exp((at - now) / ARRIVALS_MS) / math.max(remembered, 0.1)
  end
  return pace
end

-- Milliseconds until a turn is claimed; nil while nothing is known of the pace, or nobody serves the model.
local function wait_ms(model, tier, member, staff, now)
  local position, size, rank, above = place(model, tier, member, staff.slots)
  local preemptible = redis.call('ZCARD', preemptible_key(model))
  local slots, ready = staff.slots, staff.free
  if tier ~= 'batch' and preemptible > 0 and slots > 1 then
    -- All slots of the batch but one are given back when they are wanted.
    slots, ready = slots - 1, ready + preemptible - 1
  end
  if slots == 0 then return nil, position, size end
  if position <= ready then return 0, position, size end
  local pace = pace_of(model, now)
  if not pace then return nil, position, size end

  -- Row time that is asked for ahead of this turn, and what goes on being asked for each millisecond.
  local ahead, coming = rank * pace.ms[tier], 0
  for _, name in ipairs(TIERS) do
    if name == tier then break end
    ahead = ahead + redis.call('ZCARD', queue_key(model, name)) * pace.ms[name]
    coming = coming + pace.rate(name) * pace.ms[name]
  end
  local each = ahead / (rank + above)
  local behind = tonumber(redis.call('ZSCORE', queue_key(model, tier), member))
    - tonumber(redis.call('HGET', clocks_key(model), tier) or 0)
  if behind > 1 then coming = coming + pace.rate('light:' .. tier) * pace.ms[tier] end

  -- If nobody else came it would be this; if they went on coming as they do, so many times this. Neither will be so
  -- for as long as that takes: rushes end. The truth is between the two.
  local alone = (position - ready) * each / slots
  local longer = slots / math.max(slots - coming, slots / between_floors(slots))
  return alone * math.sqrt(longer), position, size
end

-- What a turn's readers are told of its place, as the record keeps it, and its position.
local function told_of(model, tier, member, now, alive_ms)
  local staff = staff(model, now - alive_ms)
  local wait, position, size = wait_ms(model, tier, member, staff, now)
  local eta = wait and string.format('%.1f', wait / 1000) or 'null'
  return position .. ' ' .. size .. ' ' .. eta .. ' ' .. staff.workers, position
end
