-- Stop a turn: at once while it waits, through its worker once it is claimed.
local id, owner = ARGV[1], ARGV[2]
local record = record_of(id)
if not record or record.owner ~= owner then return 'response_not_found' end
if not is_live(record) then return 'response_not_active' end
stop(id, record, ARGV[3], ARGV[4], ARGV[5])
publish_outbox()
return 'ok'
