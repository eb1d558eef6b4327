-- include: prelude
-- Migrate some keys that releases without a record version wrote. Each key is migrated at most once: a key that is
-- gone, or a record that has a version, is passed over. Arguments: keys (list of names, as SCAN gives them).

-- Old and new beginnings of keys, whole names for keys without an argument. An empty new name: the data is transient
-- and is deleted.
local KEYS_RENAMED = {
  {'ts:line:', 'ts:queue:'}, {'ts:beats:', 'ts:heartbeats:'}, {'ts:rows:', 'ts:slots:'}, {'ts:free:', 'ts:free-slots:'},
  {'ts:lent:', 'ts:preemptible:'}, {'ts:recalled:', 'ts:preempted:'}, {'ts:once:', 'ts:idempotency:'},
  {'ts:asked', 'ts:requested-models'}, {'ts:swept', ''}, {'ts:pace:', ''}, {'ts:counts:', ''},
  {'ts:job:', 'ts:batch:'}, {'ts:jobs:', 'ts:batches:'}, {'ts:job-leases', 'ts:batch-leases'},
  {'ts:job-ended:', 'ts:batch-ended:'}, {'ts:job-marks:', 'ts:batch-commits:'}, {'ts:job-parts:', 'ts:batch-parts:'},
}
local TURN_FIELDS = {
  parent = 'previous_response_id', member = 'queue_member', since = 'queued_at', told = 'announced',
  told_at = 'announced_at', number = 'line', job = 'batch', cost = 'reserved_tokens', began = 'claimed_at',
  ran = 'running_ms', handed = 'requeues', cancel = 'cancel_requested', open = 'awaits_answer',
}

local function begins(text, start)
  return string.sub(text, 1, #start) == start
end

-- Rename a key; a key of the new name, which a worker that started first has written, gets the old one's data.
local function rename(old, new)
  if redis.call('RENAMENX', old, new) == 1 then return end
  local type = redis.call('TYPE', old).ok
  if type == 'zset' then redis.call('ZUNIONSTORE', new, 2, new, old, 'AGGREGATE', 'MAX')
  elseif type == 'set' then redis.call('SUNIONSTORE', new, new, old)
  elseif type == 'hash' then
    local flat = redis.call('HGETALL', old)
    for i = 1, #flat, 2 do redis.call('HSETNX', new, flat[i], flat[i + 1]) end
  end
  redis.call('DEL', old)
end

-- Rename a field of a hash; the empty text, which stood for no value, is dropped.
local function rename_field(key, old, new)
  local value = redis.call('HGET', key, old)
  if not value then return end
  if value ~= '' then redis.call('HSET', key, new, value) end
  redis.call('HDEL', key, old)
end

for _, key in ipairs(args.keys) do
  if redis.call('EXISTS', key) == 1 then
    for _, names in ipairs(KEYS_RENAMED) do
      local old, new = names[1], names[2]
      local takes_argument = string.sub(old, -1) == ':'
      if key == old or (takes_argument and begins(key, old)) then
        if new == '' then
          redis.call('DEL', key)
        else
          local renamed = new .. string.sub(key, #old + 1)
          rename(key, renamed)
          key = renamed
        end
        break
      end
    end
    if begins(key, 'ts:turn:') and redis.call('HEXISTS', key, 'version') == 0 then
      for old, new in pairs(TURN_FIELDS) do rename_field(key, old, new) end
      redis.call('HSET', key, 'version', VERSION)
    elseif begins(key, 'ts:batch:') and redis.call('HEXISTS', key, 'version') == 0 then
      rename_field(key, 'body', 'fingerprint')
      redis.call('HSET', key, 'version', VERSION)
    elseif begins(key, 'ts:idempotency:') then
      rename_field(key, 'body', 'fingerprint')
    end
  end
end
