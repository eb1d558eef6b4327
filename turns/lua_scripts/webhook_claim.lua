-- include: webhooks
-- Lease deliveries that are due, of several endpoints. While a lease lasts no other call returns the delivery.
-- Arguments: lease_ms, most (deliveries), each (attempts at one endpoint at a time; one while it fails).
-- Returns for each {endpoint, event, payload, url, secrets (JSON), attempts so far (JSON or ''), when its lease ends}.

-- An endpoint that a newer release wrote is left to nodes of that release for so long.
local NEWER_MS = 10000

local now, found = now_ms(), {}
local ends = now + args.lease_ms

local function lease(endpoint, record)
  local outbox, leases = webhook_outbox_key(endpoint), webhook_leases_key(endpoint)
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
  local room = math.min((record.failing and 1 or args.each) - redis.call('ZCARD', leases), args.most - #found)
  if room > 0 then
    for _, event in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, room)) do
      local payload = redis.call('HGET', webhook_payloads_key(endpoint), event)
      if payload then
        redis.call('ZADD', outbox, ends, event)
        redis.call('ZADD', leases, ends, event)
        found[#found + 1] = {endpoint, event, payload, record.url, record.secrets,
          redis.call('HGET', webhook_attempts_key(endpoint), event) or '', ends}
      else
        redis.call('ZREM', outbox, event)
      end
    end
  end
  -- Who ends an attempt looks again; without that, a lease's end does.
  local next = redis.call('ZRANGE', outbox, 0, 0, 'WITHSCORES')[2]
  if not next then
    redis.call('ZREM', webhook_due_key(), endpoint)
  elseif tonumber(next) <= now and redis.call('ZCARD', leases) >= (record.failing and 1 or args.each) then
    redis.call('ZADD', webhook_due_key(), redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2], endpoint)
  else
    -- After every other endpoint that is due now.
    redis.call('ZADD', webhook_due_key(), math.max(tonumber(next), now + 1), endpoint)
  end
end

for _, endpoint in ipairs(redis.call('ZRANGEBYSCORE', webhook_due_key(), '-inf', now, 'LIMIT', 0, args.most)) do
  if #found >= args.most then break end
  local record = read_fields(webhook_endpoint_key(endpoint), 'version', 'owner', 'url', 'secrets', 'failing')
  if not record.owner then
    redis.call('ZREM', webhook_due_key(), endpoint)
  elseif is_newer(record) then
    redis.call('ZADD', webhook_due_key(), now + NEWER_MS, endpoint)
  else
    lease(endpoint, record)
  end
end
return found
