-- include: prelude
-- Delete a webhook endpoint with all that waits for it. Arguments: id, owner. Returns ok or not_found.
local id, owner = args.id, args.owner
if redis.call('HGET', webhook_endpoint_key(id), 'owner') ~= owner then return 'not_found' end
redis.call('ZREM', webhook_endpoints_key(owner), id)
redis.call('HDEL', webhook_subscriptions_key(owner), id)
redis.call('ZREM', webhook_due_key(), id)
redis.call('UNLINK', webhook_endpoint_key(id), webhook_payloads_key(id), webhook_attempts_key(id),
  webhook_outbox_key(id), webhook_leases_key(id), webhook_dead_letters_key(id))
return 'ok'
