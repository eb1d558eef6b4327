-- include: outage
-- Lease an index to a worker, which no other worker of its model has then, or renew or end its lease.
-- Arguments: model, holder (text that no other process has), lease_ms (0 ends the lease), index (optional: the one that
--   is wanted; else the lowest that is free), take (boolean: also from another holder).
-- Returns the index, or -1 if another holder has the one that is wanted.
local ALIVE_MS = 5000
local key, now = worker_indexes_key(args.model), now_ms()

-- Return who holds an index, and until when.
local function lease_of(index)
  local lease = redis.call('HGET', key, index)
  if not lease then return nil, 0 end
  local lapses, holder = string.match(lease, '^(%d+) (.*)$')
  return holder, tonumber(lapses)
end

-- Whether a worker of this index lives that has no lease: workers of an earlier release have none.
local function lives(index)
  local heartbeat = redis.call('ZSCORE', heartbeats_key(args.model), 'w' .. index)
  return heartbeat and tonumber(heartbeat) > now - ALIVE_MS
end

local index = args.index
if not index then
  index = -1
  local holder, lapses
  local away = now < grace_until(now)
  repeat
    index = index + 1
    holder, lapses = lease_of(index)
  until (not holder and not lives(index)) or (holder and lapses < now and not away)
end

local holder, lapses = lease_of(index)
if holder and holder ~= args.holder and lapses >= now and not args.take then return -1 end
if args.lease_ms > 0 then
  redis.call('HSET', key, index, string.format('%.0f %s', now + args.lease_ms, args.holder))
elseif holder == args.holder then
  redis.call('HDEL', key, index)
end
return index
