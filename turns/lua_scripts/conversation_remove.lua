-- include: feed, last_turn
-- Remove an item from a conversation with an id. An item that was added by hand is deleted. One of a turn stays in the
-- turn's response; the record notes that it is no item of the conversation any more.
-- Arguments: id, owner, turn (id), item ('answer' or the number of an input message, as text),
--   item_id (its whole id).
-- Returns ok, item_not_found, conversation_not_found, conversation_locked or newer_version.
local last, refusal = last_turn(args.id, args.owner)
if refusal then return refusal end
for _, turn in ipairs(turns_from(last)) do
  if turn == args.turn then
    local record = fields(turn, 'response', 'removed')
    local removed = record.removed or ','
    if not record.response then
      unlink_turn(args.id, turn)
      delete_turn(turn)
    elseif string.find(removed, ',' .. args.item .. ',', 1, true) then
      return 'item_not_found'
    else
      redis.call('HSET', turn_key(turn), 'removed', removed .. args.item .. ',')
    end
    add_to_feed(args.id, args.owner, 'item.deleted', ',"item_id":"' .. args.item_id .. '"')
    publish_outbox()
    return 'ok'
  end
end
return 'item_not_found'
