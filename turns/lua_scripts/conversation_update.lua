-- include: last_turn
-- Set the metadata of a conversation with an id. Arguments: id, owner. ARGV[2]: metadata (JSON).
-- Returns ok, conversation_not_found or newer_version.
local record = read_fields(conversation_key(args.id), 'owner', 'version')
if record.owner ~= args.owner then return 'conversation_not_found' end
if is_newer(record) then return 'newer_version' end
redis.call('HSET', conversation_key(args.id), 'metadata', ARGV[2])
return 'ok'
