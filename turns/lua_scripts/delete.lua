-- Forget an ended turn: its record and its log. What goes on from it can't be gone on with any more.
local id, owner = ARGV[1], ARGV[2]
local record = redis.call('HMGET', turn_key(id), 'owner', 'status')
if not record[1] or record[1] ~= owner then return 'response_not_found' end
if record[2] == 'queued' or record[2] == 'in_progress' then return 'response_running' end
redis.call('DEL', turn_key(id), log_key(id))
return 'ok'
