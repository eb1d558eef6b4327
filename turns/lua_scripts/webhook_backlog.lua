-- include: prelude
-- Count the deliveries that wait, over all endpoints. Arguments: most (endpoints that are read).
-- Returns {deliveries, milliseconds for which the one has been due that has been due longest, endpoints that fail}.
local now, waiting, late, failing = now_ms(), 0, 0, 0
for _, endpoint in ipairs(redis.call('ZRANGE', webhook_due_key(), 0, args.most - 1)) do
  local outbox = webhook_outbox_key(endpoint)
  local first = redis.call('ZRANGE', outbox, 0, 0, 'WITHSCORES')[2]
  waiting = waiting + redis.call('ZCARD', outbox)
  failing = failing + redis.call('HEXISTS', webhook_endpoint_key(endpoint), 'failing')
  if first then late = math.max(late, now - tonumber(first)) end
end
return {waiting, late, failing}
