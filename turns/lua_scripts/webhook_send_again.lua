-- include: webhooks
-- Put dead letters of an endpoint back into its outbox, due now and as if they had not been attempted.
-- Arguments: endpoint, events (list; absent: the oldest `most`), most. Returns how many were put back.
local endpoint, now, moved = args.endpoint, now_ms(), 0
local dead = webhook_dead_letters_key(endpoint)
if redis.call('EXISTS', webhook_endpoint_key(endpoint)) == 0 then return 0 end
for _, event in ipairs(args.events or redis.call('ZRANGE', dead, 0, args.most - 1)) do
  if redis.call('ZREM', dead, event) == 1 then
    redis.call('ZADD', webhook_outbox_key(endpoint), now, event)
    redis.call('HDEL', webhook_attempts_key(endpoint), event)
    moved = moved + 1
  end
end
if moved > 0 then look_at(endpoint, now) end
return moved
