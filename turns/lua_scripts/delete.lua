-- include: prelude
-- Delete a turn that has ended: its record and its log. Turns that continue it can't be continued any more.
-- Arguments: id, owner. Returns ok, response_not_found, response_running or newer_version.
local record = fields(args.id, 'owner', 'status', 'version')
if not record.owner or record.owner ~= args.owner then return 'response_not_found' end
if is_newer(record) then return 'newer_version' end
if is_active(record) then return 'response_running' end
redis.call('DEL', turn_key(args.id), log_key(args.id))
return 'ok'
