-- include: ending
-- Cancel a turn: at once while it waits, through its worker once it is claimed.
-- Arguments: id, owner; log_seconds, store_seconds, unstored_seconds.
-- Returns ok, response_not_found, response_not_active or newer_version.
local record = record_of(args.id)
if not record or record.owner ~= args.owner then return 'response_not_found' end
if is_newer(record) then return 'newer_version' end
if not is_active(record) then return 'response_not_active' end
stop(args.id, record)
publish_outbox()
return 'ok'
