-- Stop a turn: at once while it waits, through its worker's next beat once it is claimed.
local id, owner = ARGV[1], ARGV[2]
local log_seconds, store_seconds, unstored_seconds = ARGV[3], ARGV[4], ARGV[5]

local record = redis.call('HMGET', turn_key(id), 'owner', 'status', 'model', 'tier', 'member', 'tag', 'seq',
  'response', 'store', 'attempt')
if not record[1] or record[1] ~= owner then return 'response_not_found' end
if record[2] ~= 'queued' and record[2] ~= 'in_progress' then return 'response_not_active' end

local waits = redis.call('ZREM', line_key(record[3], record[4]), record[5]) == 1
if not waits or record[2] == 'in_progress' then
  redis.call('HSET', turn_key(id), 'cancel', 1)
  -- It waits for another attempt: back to where it was, for a worker to take up and end in good form.
  if waits then redis.call('ZADD', line_key(record[3], record[4]), 0, record[5]) end
  return 'ok'
end
-- The place goes back to the owner if nothing of the owner's came after it.
local tags = tags_key(record[3], record[4])
if redis.call('ZSCORE', tags, owner) == record[6] then redis.call('ZINCRBY', tags, -1, owner) end
local seq = tonumber(record[7]) + 1
redis.call('HSET', turn_key(id), 'seq', seq, 'status', 'cancelled', 'output', '')
emit(id, seq, lifecycle('response.incomplete', seq, 'cancelled', 'null', '', record[8]), '', true,
  redis.call('SMEMBERS', followers_key(id)))
retire(id, record[9], log_seconds, store_seconds, unstored_seconds)
send_mail()
return 'ok'
