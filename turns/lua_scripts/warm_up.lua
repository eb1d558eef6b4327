-- Make a turn that is over at once: nothing is answered, and what was said in it can be gone on from.
-- Run twice with one id it answers the same and makes nothing new.
local id, owner, model, store = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local parent, parent_cached, asks, speaks = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local request, input, rest, finished_rest = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local log_seconds, store_seconds, unstored_seconds = ARGV[13], ARGV[14], ARGV[15]

local created = lifecycle('response.created', 0, 'in_progress', 'null', '', rest)
local completed = lifecycle('response.completed', 1, 'completed', 'null', '', finished_rest)
if redis.call('EXISTS', turn_key(id)) == 0 then
  local refusal = hold_conversation(parent, owner, parent_cached, store_seconds, unstored_seconds)
  if refusal then return {refusal} end
  local open = asks == '1' or (speaks == '0' and is_open(parent))
  redis.call('HSET', turn_key(id), 'owner', owner, 'model', model, 'tier', 'default', 'status', 'completed',
    'attempt', 0, 'seq', 1, 'parent', parent, 'store', store, 'request', request, 'input', input,
    'response', finished_rest, 'output', '', 'nodes', '', 'open', open and 1 or 0)
  emit(id, 0, created, '', false, '')
  emit(id, 1, completed, '', true, '')
  age(id, store, log_seconds, store_seconds, unstored_seconds)
end
return {'ok', created, completed}
