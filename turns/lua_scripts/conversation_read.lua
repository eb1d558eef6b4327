-- include: last_turn
-- Read a conversation with an id, and extend its life. Arguments: id, owner, with_turns (boolean), store_seconds,
--   unstored_seconds.
-- Returns {'ok', created_at, metadata (JSON), ids of its turns, latest first}, without a turn that is active;
--   {conversation_not_found} or {newer_version}.
local last, refusal = last_turn(args.id, args.owner)
if refusal and refusal ~= 'conversation_locked' then return {refusal} end
if args.with_turns then
  refusal = extend_life(args.id, args.owner, last)
  if refusal then return {refusal} end
end
local record = read_fields(conversation_key(args.id), 'created_at', 'metadata')
return {'ok', record.created_at, record.metadata, args.with_turns and turns_from(last) or {}}
