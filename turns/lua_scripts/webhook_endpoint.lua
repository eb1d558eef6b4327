-- include: prelude
-- Create or change a webhook endpoint.
-- Arguments: id, owner, created_ms (absent: change one that exists), most (that an owner may have), fields (list of
--   names and values), subscription (its event types, a space before, between and after them; absent: as it was),
--   expected (its secrets before, JSON; absent: whatever they are).
-- Returns ok, not_found, newer_version, too_many, or changed when it has other secrets.
local key, owners = webhook_endpoint_key(args.id), webhook_endpoints_key(args.owner)
if args.created_ms then
  if redis.call('ZCARD', owners) >= args.most then return 'too_many' end
  redis.call('ZADD', owners, args.created_ms, args.id)
  redis.call('HSET', key, 'version', VERSION, 'owner', args.owner)
else
  local record = read_fields(key, 'owner', 'version', 'secrets')
  if record.owner ~= args.owner then return 'not_found' end
  if is_newer(record) then return 'newer_version' end
  if args.expected and record.secrets ~= args.expected then return 'changed' end
end
redis.call('HSET', key, unpack(args.fields))
if args.subscription then redis.call('HSET', webhook_subscriptions_key(args.owner), args.id, args.subscription) end
return 'ok'
