-- include: events, statistics
-- Read the response of a turn as it is now. Arguments: id, owner, alive_ms.
-- Returns {'ok', status, error (JSON), response (JSON after status and error), queue place (JSON) or ''},
--   {response_not_found} or {newer_version}.
local record = record_of(args.id)
if not record or not record.response or record.owner ~= args.owner then return {'response_not_found'} end
if is_newer(record) then return {'newer_version'} end
local queue = ''
if record.status == 'queued' then
  queue = queue_json((queue_place(record.model, record.tier, record.queue_member,
    capacity_of(record.model, now_ms()), now_ms())))
end
return {'ok', record.status, record.error or 'null', record.response, queue}
