-- include: feed, last_turn
-- Delete a conversation with an id and what only it holds: items that were added by hand, and turns that are not
-- stored. Stored turns stay as responses. Arguments: id, owner.
-- Returns ok, conversation_not_found, conversation_locked or newer_version.
local last, refusal = last_turn(args.id, args.owner)
if refusal then return refusal end
for _, turn in ipairs(turns_from(last)) do
  if redis.call('HGET', turn_key(turn), 'store') == '0' then delete_turn(turn) end
end
redis.call('DEL', conversation_key(args.id))
end_feed(args.id)
publish_outbox()
return 'ok'
