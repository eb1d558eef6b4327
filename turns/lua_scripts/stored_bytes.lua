-- include: prelude
-- Counts the bytes that an owner has in Redis, against its limit `stored_bytes`.
-- They are counted by when they expire, in 64 parts of the time that they are kept: what has expired is given back at
-- the next look, up to a 64th of that time late. Texts are counted exactly, what Redis needs beside them is estimated;
-- events of a turn that runs, and turns of batches, are not counted.
local PARTS = 64
-- What a record takes beside its texts.
local RECORD_BYTES = 1536

local function now_seconds()
  return math.floor(now_ms() / 1000)
end

-- Return the second after which what is kept for so many seconds counts as expired.
local function counted_until(seconds)
  local width = math.max(1, math.ceil(seconds / PARTS))
  return (math.floor((now_seconds() + seconds) / width) + 1) * width
end

-- Stop counting what has expired; return the bytes that are left.
local function settle(owner)
  local key, now, total = stored_bytes_key(owner), now_seconds(), 0
  local parts = redis.call('HGETALL', key)
  for i = 1, #parts, 2 do
    if parts[i] ~= 'total' then
      if tonumber(parts[i]) <= now then redis.call('HDEL', key, parts[i]) else total = total + parts[i + 1] end
    end
  end
  if total > 0 then redis.call('HSET', key, 'total', total) else redis.call('DEL', key) end
  return total
end

-- Count bytes until a second that `counted_until` returned.
local function count_bytes(owner, bytes, until_second)
  local key = stored_bytes_key(owner)
  redis.call('HINCRBY', key, 'total', bytes)
  -- The first bytes of a part: a good moment to drop the parts that have expired.
  if redis.call('HINCRBY', key, until_second, bytes) == bytes then settle(owner) end
  local left = until_second - now_seconds()
  if redis.call('TTL', key) < left then redis.call('EXPIRE', key, left) end
end

-- Stop counting bytes that have not expired.
local function give_back(owner, bytes, until_second)
  local key = stored_bytes_key(owner)
  if redis.call('HEXISTS', key, until_second) == 0 then return end
  redis.call('HINCRBY', key, 'total', -bytes)
  if redis.call('HINCRBY', key, until_second, -bytes) <= 0 then redis.call('HDEL', key, until_second) end
end

-- Whether an owner may store so many bytes more; with `most` 0 it always may.
local function has_room(owner, bytes, most)
  if most == 0 then return true end
  local total = tonumber(redis.call('HGET', stored_bytes_key(owner), 'total') or 0)
  return total + bytes <= most or settle(owner) + bytes <= most
end

-- Return what a record with texts of these sizes counts for.
local function record_bytes(...)
  local bytes = RECORD_BYTES
  for _, size in ipairs({...}) do bytes = bytes + size end
  return bytes
end

-- Stop counting a turn's record.
local function forget_record(id)
  local record = fields(id, 'owner', 'stored_until', 'stored_bytes')
  if record.stored_until then give_back(record.owner, record.stored_bytes, record.stored_until) end
end

-- Count a turn's record, which is kept for so many seconds from now, in place of what was counted for it before.
local function count_record(id, owner, seconds)
  local until_second, bytes = counted_until(seconds), RECORD_BYTES
  for _, name in ipairs({'request', 'input', 'response', 'output', 'system'}) do
    bytes = bytes + redis.call('HSTRLEN', turn_key(id), name)
  end
  local before = fields(id, 'stored_until', 'stored_bytes')
  if tonumber(before.stored_until) == until_second and tonumber(before.stored_bytes) == bytes then return end
  forget_record(id)
  count_bytes(owner, bytes, until_second)
  redis.call('HSET', turn_key(id), 'stored_until', until_second, 'stored_bytes', bytes)
end

-- Count the record of a new turn. Returns the fields of the record that say so, by name.
local function count_new_record(owner, bytes, seconds)
  local until_second = counted_until(seconds)
  count_bytes(owner, bytes, until_second)
  return {stored_until = until_second, stored_bytes = bytes}
end

-- Count the bytes of a turn's steers, which are kept for so many seconds from now, in place of what was counted before.
local function count_steers(id, owner, bytes, seconds)
  local key = steers_key(id)
  local before = read_fields(key, 'stored_until', 'stored_bytes')
  if before.stored_until then give_back(owner, before.stored_bytes, before.stored_until) end
  if bytes == 0 then
    redis.call('HDEL', key, 'stored_until', 'stored_bytes')
    return
  end
  local until_second = counted_until(seconds)
  count_bytes(owner, bytes, until_second)
  redis.call('HSET', key, 'stored_until', until_second, 'stored_bytes', bytes)
end

-- Delete a turn: its record, its log and what is left of its steers.
local function delete_turn(id)
  forget_record(id)
  local owner = redis.call('HGET', turn_key(id), 'owner')
  if owner then count_steers(id, owner, 0) end
  redis.call('DEL', turn_key(id), log_key(id), steers_key(id))
end
