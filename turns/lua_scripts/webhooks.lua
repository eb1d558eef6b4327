-- include: prelude
-- Puts events into the outboxes of the webhook endpoints that want them. Called where a turn or a batch ends, in the
-- same script: neither is written without the other.

-- Deliveries that may wait for one endpoint; what comes beyond is not delivered, and counted by its type.
local MOST_WAITING = 10000

-- Look at an endpoint's outbox at this time, or earlier if it was to be looked at earlier.
local function look_at(endpoint, when)
  redis.call('ZADD', webhook_due_key(), 'LT', when, endpoint)
end

-- Put one event into an endpoint's outbox. `object` is the id of what has ended, which ends once and so has one event.
local function put_into_outbox(endpoint, type, object)
  if redis.call('ZCARD', webhook_outbox_key(endpoint)) >= MOST_WAITING then
    redis.call('HINCRBY', webhook_endpoint_key(endpoint), 'dropped:' .. type, 1)
    return
  end
  local event, now = 'evt_' .. string.match(object, '_(.*)$'), now_ms()
  redis.call('HSETNX', webhook_payloads_key(endpoint), event, '{"id":"' .. event .. '","object":"event","created_at":'
    .. math.floor(now / 1000) .. ',"type":"' .. type .. '","data":{"id":"' .. object .. '"}}')
  redis.call('ZADD', webhook_outbox_key(endpoint), now, event)
  look_at(endpoint, now)
end

-- Tell the endpoints of an owner that want it that a turn or a batch has ended.
local function announce_end(owner, type, object)
  local subscriptions = redis.call('HGETALL', webhook_subscriptions_key(owner))
  for i = 1, #subscriptions, 2 do
    if string.find(subscriptions[i + 1], ' ' .. type .. ' ', 1, true) then
      put_into_outbox(subscriptions[i], type, object)
    end
  end
end
