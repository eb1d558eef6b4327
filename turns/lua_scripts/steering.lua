-- include: new_turn
-- Input that `response.steer` queues for a running turn, and the turn that continues it with that input: its successor.
-- The script that ends the turn decides what becomes of the input, so there is one successor however the turn ends. Its id
-- is in the turn's record, `successor`, from the first steer on; all else is in the hash of its steers.

-- Return lists of items (JSON) as one.
local function joined_items(lists)
  local inner = {}
  for _, list in ipairs(lists) do
    local items = string.sub(list, 2, -2)
    if items ~= '' then inner[#inner + 1] = items end
  end
  return '[' .. table.concat(inner, ', ') .. ']'
end

-- Return the queued input of a turn (JSON), in the order in which it came.
local function queued_input(id, count)
  local lists = {}
  for n = 1, tonumber(count) do lists[n] = redis.call('HGET', steers_key(id), 'items:' .. n) end
  return joined_items(lists)
end

-- Drop texts that a turn has taken; which steers there were is kept, so that a repeated one is known.
local function drop_input(id, owner, count)
  count_steers(id, owner, 0)
  redis.call('HDEL', steers_key(id), 'response')
  for n = 1, tonumber(count) do redis.call('HDEL', steers_key(id), 'items:' .. n, 'input:' .. n) end
end

-- Return what becomes of a turn's steers when it ends with a status: 'continued', 'pending' while a call of a tool waits
-- for its output, or 'failed'; nil: there are none. `record` has successor and cancel_requested, `calls` is true if the
-- turn calls tools.
local function steering_of(record, status, calls)
  if not record.successor then return nil end
  if status == 'cancelled' or status == 'failed' or record.cancel_requested then return 'failed' end
  return status == 'completed' and calls and 'pending' or 'continued'
end

-- Return a response (JSON after status and error), or the event that ends a turn, with what became of its steers: always
-- as the last field, where nodes look for it.
local function with_steering(json, outcome, successor)
  if not outcome then return json end
  local braces = string.sub(json, 1, 8) == '{"type":' and string.sub(json, 1, 15) ~= '{"type":"error"' and 2 or 1
  local id = outcome == 'continued' and ',"response_id":"' .. successor .. '"' or ''
  return string.sub(json, 1, -braces - 1) .. ',"steering":{"outcome":"' .. outcome .. '"' .. id .. '}'
    .. string.rep('}', braces)
end

-- Create the successor of a turn that has ended.
local function continue_turn(id, steers)
  local turn, now = record_of(id), now_ms()
  local input = queued_input(id, steers.count)
  local bytes, turns = size_of(id)
  keep_alive(id, turn.owner)
  count_live(turn.owner)
  create_turn(steers.successor, {
    owner = turn.owner, model = turn.model, tier = turn.tier, store = turn.store, request = turn.request, input = input,
    response = '"created_at":' .. math.floor(now / 1000) .. ',' .. steers.response, nodes = turn.nodes,
    conversation = turn.conversation, request_id = turn.request_id, traceparent = turn.traceparent,
    reserved_tokens = steers.reserved_tokens, budget_day = steers.budget_day,
  }, {
    previous = id, bytes = bytes + #input, turns = turns + 1, turn_seconds = tonumber(steers.turn_seconds),
    watch_ms = tonumber(steers.watch_ms), tag = tonumber(steers.tag),
  }, now)
end

-- Do with the steers of a turn that has just ended what `steering_of` said.
local function settle_steers(id, owner, outcome)
  if not outcome then return end
  local key = steers_key(id)
  local steers = read_fields(key, 'count', 'bytes', 'successor', 'response', 'reserved_tokens', 'budget_day',
    'turn_seconds', 'watch_ms', 'tag')
  local seconds = redis.call('TTL', turn_key(id))
  redis.call('HSET', key, 'outcome', outcome)
  redis.call('EXPIRE', key, seconds)
  if outcome == 'continued' then
    continue_turn(id, steers)
    drop_input(id, owner, steers.count)
  else
    count_steers(id, owner, tonumber(steers.bytes), seconds)
    give_tokens({owner = owner, reserved_tokens = steers.reserved_tokens, budget_day = steers.budget_day}, 0)
    redis.call('HDEL', key, 'response')
  end
end

-- Return the input (JSON) that waits until a turn that called tools is continued; nil if there is none.
local function pending_input(id)
  if not id or not redis.call('HGET', turn_key(id), 'successor') then return nil end
  local steers = read_fields(steers_key(id), 'outcome', 'count')
  return steers.outcome == 'pending' and queued_input(id, steers.count) or nil
end

-- Note that a turn has taken the pending input.
local function take_pending(id, successor)
  local owner, count = redis.call('HGET', turn_key(id), 'owner'), redis.call('HGET', steers_key(id), 'count')
  redis.call('HSET', steers_key(id), 'outcome', 'continued', 'successor', successor)
  local waits = ',"steering":{"outcome":"pending"}}'
  local response = redis.call('HGET', turn_key(id), 'response')
  local bare = string.sub(response, 1, -#waits - 1) .. '}'
  redis.call('HSET', turn_key(id), 'successor', successor, 'response', with_steering(bare, 'continued', successor))
  drop_input(id, owner, count)
end
