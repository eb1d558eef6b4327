-- Put in front of every script: the turns that a turn goes on from.

-- See to it that a conversation can be gone on from, and keep it: it must be whole and the owner's own. `cached`
-- is '1' when the asking socket holds `parent`, which then need not be stored. Gives a refusal, or nothing.
local function hold_conversation(parent, owner, cached, store_seconds, unstored_seconds)
  local ancestor, first = parent, true
  while ancestor ~= '' do
    local found = redis.call('HMGET', turn_key(ancestor), 'owner', 'status', 'store', 'parent')
    if not found[1] or found[1] ~= owner then return 'previous_response_not_found' end
    if first then
      if found[3] == '0' and cached == '0' then return 'previous_response_not_found' end
      if found[2] == 'queued' or found[2] == 'in_progress' then return 'previous_response_running' end
      if found[2] == 'failed' then return 'previous_response_not_found' end
    end
    redis.call('EXPIRE', turn_key(ancestor), found[3] == '1' and store_seconds or unstored_seconds)
    ancestor, first = found[4] or '', false
  end
end

-- What was said before a turn, latest first: input and answer of each that it goes on from.
local function said_before(parent)
  local said, ancestor = {}, parent
  while ancestor and ancestor ~= '' do
    local past = redis.call('HMGET', turn_key(ancestor), 'input', 'output', 'parent')
    if not past[1] then break end
    said[#said + 1] = past[1]
    said[#said + 1] = past[2] or ''
    ancestor = past[3]
  end
  return said
end

-- Whether a conversation ends in a question that was never to be answered: only a warm-up leaves one open.
local function is_open(parent)
  return parent ~= '' and redis.call('HGET', turn_key(parent), 'open') == '1'
end
