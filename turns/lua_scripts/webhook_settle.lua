-- include: webhooks
-- Record what came of an attempt, and end its lease. A repeated call changes nothing.
-- Arguments: endpoint, event, lease (when it ends, as webhook_claim returned it); accepted (boolean); unless it was:
--   attempts (JSON, see turns/webhook_outbox.py), retry_ms (after how long to try again; absent: no more).
-- Returns ok, or lost when the lease is over and another has the delivery, or it is settled.

-- Dead letters that an endpoint may have; beyond that the oldest is deleted, and counted.
local MOST_DEAD = 10000

local endpoint, event, now = args.endpoint, args.event, now_ms()
local outbox = webhook_outbox_key(endpoint)
if tonumber(redis.call('ZSCORE', outbox, event) or -1) ~= args.lease then return 'lost' end
redis.call('ZREM', webhook_leases_key(endpoint), event)

if args.accepted then
  redis.call('ZREM', outbox, event)
  redis.call('HDEL', webhook_payloads_key(endpoint), event)
  redis.call('HDEL', webhook_attempts_key(endpoint), event)
  redis.call('HDEL', webhook_endpoint_key(endpoint), 'failing')
else
  redis.call('HSET', webhook_attempts_key(endpoint), event, args.attempts)
  redis.call('HSET', webhook_endpoint_key(endpoint), 'failing', 1)
  if args.retry_ms then
    redis.call('ZADD', outbox, now + args.retry_ms, event)
  else
    local dead = webhook_dead_letters_key(endpoint)
    redis.call('ZREM', outbox, event)
    redis.call('ZADD', dead, now, event)
    if redis.call('ZCARD', dead) > MOST_DEAD then
      local oldest = redis.call('ZRANGE', dead, 0, 0)[1]
      redis.call('ZREM', dead, oldest)
      redis.call('HDEL', webhook_payloads_key(endpoint), oldest)
      redis.call('HDEL', webhook_attempts_key(endpoint), oldest)
      redis.call('HINCRBY', webhook_endpoint_key(endpoint), 'dropped:dead_letters', 1)
    end
  end
end
local next = redis.call('ZRANGE', outbox, 0, 0, 'WITHSCORES')[2]
if next then look_at(endpoint, math.max(tonumber(next), now)) end
return 'ok'
