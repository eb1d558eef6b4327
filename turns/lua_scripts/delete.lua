-- include: feed, last_turn
-- Delete a turn that has ended: its record and its log. Turns that continue it can't be continued any more,
-- but a conversation with an id goes on without it.
-- Arguments: id, owner. Returns ok, response_not_found, response_running, conversation_locked or newer_version.
local record = fields(args.id, 'owner', 'status', 'version', 'conversation', 'root', 'response')
if not record.response or record.owner ~= args.owner then return 'response_not_found' end
if is_newer(record) then return 'newer_version' end
if is_active(record) then return 'response_running' end
if record.conversation then
  local last, refusal = last_turn(record.conversation, args.owner)
  if refusal and refusal ~= 'conversation_not_found' then return refusal end
  if last then unlink_turn(record.conversation, args.id) end
end
delete_turn(args.id)
-- Without its first turn no turn of a tree can be continued.
local feed = feed_of(args.id, record)
if feed == args.id then end_feed(feed)
else add_to_feed(feed, args.owner, 'response.deleted', ',"response_id":"' .. args.id .. '"') end
publish_outbox()
return 'ok'
