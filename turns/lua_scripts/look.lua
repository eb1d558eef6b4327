-- What a turn is now: status, error, the response's rest and, while it waits, its place.
local id, owner, alive_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record = record_of(id)
if not record or record.owner ~= owner then return {'response_not_found'} end
local queue = ''
if record.status == 'queued' then
  queue = queue_json((told_of(record.model, record.tier, record.member, now_ms(), alive_ms)))
end
return {'ok', record.status, record.error or 'null', record.response, queue}
