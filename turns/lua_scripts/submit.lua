-- Make a turn: its record and its place in line, and ring a worker with a free slot. Gives its first two events.
-- Run twice with one id it answers the same and makes nothing new.
local id, owner, model, tier, node = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local parent, parent_cached, store = ARGV[6], ARGV[7], ARGV[8]
local request, input, rest = ARGV[9], ARGV[10], ARGV[11]
local wake_up, alive_ms, max_queued = ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14])
local store_seconds, unstored_seconds = tonumber(ARGV[15]), tonumber(ARGV[16])
local once, body, turn_seconds, watch_ms = ARGV[17], ARGV[18], tonumber(ARGV[19]), tonumber(ARGV[20])
local log_seconds = tonumber(ARGV[21])
-- Set for a line of a batch. Nobody follows such a turn: its end is put on the batch's list, and its feeder reads it.
local batch, epoch, number = ARGV[22], ARGV[23], ARGV[24]
local asks = ARGV[25]

-- A feeder that lost its batch may wake up late: it must not ask again for what has been answered and marked.
if batch ~= '' and redis.call('HGET', batch_key(batch), 'epoch') ~= epoch then return {'batch_lost'} end

if once ~= '' then
  local made = redis.call('HMGET', once_key(owner, once), 'id', 'body')
  if made[1] and made[2] ~= body then return {'idempotency_key_reused'} end
  if made[1] then return {'known', made[1]} end
end
local made = record_of(id)
if made and batch ~= '' then return {'ok', made.status} end
if made and made.status == 'queued' then
  local events = waiting_events(made)
  return {'ok', events[1], events[2]}
elseif made then
  local known = redis.call('XRANGE', log_key(id), '1-0', '2-0')
  return {'ok', known[1][2][2], known[2][2][2]}
end

local refusal = hold_conversation(parent, owner, parent_cached, store_seconds, unstored_seconds)
if refusal then return {refusal} end
if asks == '0' and not is_open(parent) then return {'nothing_asked'} end

local _, waiting = crowd(model)
if waiting >= max_queued then return {'queue_full', waiting} end

local now = now_ms()
local limits, tokens = {}, tonumber(ARGV[30])
for i = 1, 4 do limits[i] = tonumber(ARGV[25 + i]) end
if batch == '' then
  local limit, wait = take_room(owner, model, limits, tokens, now)
  if limit then return {'limited', limit, math.ceil(wait)} end
end

-- Start-time fair: an owner's next turn comes one tag after its last, and never before the clock.
local clock = tonumber(redis.call('HGET', clocks_key(model), tier) or 0)
local latest = tonumber(redis.call('ZSCORE', tags_key(model, tier), owner) or 0)
local tag = math.max(clock, latest) + 1
local member = string.format('%014d:%s', redis.call('INCR', arrivals_key()), id)
redis.call('ZADD', tags_key(model, tier), tag, owner)
redis.call('ZADD', queue_key(model, tier), tag, member)

redis.call('SADD', asked_key(), model)
redis.call('ZADD', deadlines_key(), now + turn_seconds * 1000, id)
if store == '0' and watch_ms > 0 and batch == '' then redis.call('ZADD', watches_key(), now + watch_ms, id) end
if once ~= '' then
  redis.call('HSET', once_key(owner, once), 'id', id, 'body', body)
  redis.call('EXPIRE', once_key(owner, once), turn_seconds + log_seconds)
end
local told = told_of(model, tier, member, now, alive_ms)
learn_arrival(model, tier, now)
if tag <= clock + 1 then learn_arrival(model, 'light:' .. tier, now) end
redis.call('HSET', turn_key(id), 'owner', owner, 'model', model, 'tier', tier, 'status', 'queued',
  'attempt', 0, 'seq', 1, 'parent', parent, 'store', store, 'request', request, 'input', input,
  'response', rest, 'member', member, 'since', now, 'nodes', batch == '' and node or NOBODY, 'told', told, 'told_at', now)
if batch ~= '' then redis.call('HSET', turn_key(id), 'batch', batch, 'number', number) end
if limits[4] > 0 then redis.call('HSET', turn_key(id), 'cost', tokens) end
-- Nothing of a turn may go while it can still be waited for; `retire` sets what comes after.
redis.call('EXPIRE', turn_key(id), math.max(store_seconds, turn_seconds + log_seconds))
redis.call('EXPIRE', owner_key(owner), turn_seconds + log_seconds)

-- Aim the bell at the live worker with the most free slots; with none free, a freed slot claims by itself.
local slots, best, most = redis.call('HGETALL', free_slots_key(model)), nil, 0
for i = 1, #slots, 2 do
  local seen = tonumber(redis.call('ZSCORE', heartbeats_key(model), slots[i]) or 0)
  if tonumber(slots[i + 1]) > most and seen >= now - alive_ms then
    best, most = slots[i], tonumber(slots[i + 1])
  end
end
if best then
  redis.call('HINCRBY', free_slots_key(model), best, -1)
  local queue_name = 'turns.' .. model .. '.' .. best
  redis.call('LPUSH', queue_name, (string.gsub(wake_up, '@queue@', (string.gsub(queue_name, '%%', '%%%%')))))
end
if not best and tier ~= 'batch' then preempt(model, now, staff(model, now - alive_ms)) end
if batch ~= '' then return {'ok', 'queued'} end
local events = waiting_events({response = rest, told = told})
return {'ok', events[1], events[2]}
