-- Included by every script: arguments, time, and reading records.
--
-- ARGV[1] is one JSON object with the arguments by name; an absent argument is nil. Large texts (JSON, token ids)
-- follow as plain entries from ARGV[2] on, so that they are not escaped twice; each script's header lists them.
-- VERSION, the newest record version that this code reads, and PREFIX, which is before every key, come before this
-- text (turns/lua.py).

local args = cjson.decode(ARGV[1])

-- Best first.
local TIERS = {'priority', 'default', 'flex', 'batch'}

-- The value of `nodes` in the turn of a batch line. Such a turn has no readers, so its log holds no events, only the
-- token ids that a later attempt continues from, and a refusal, whose HTTP status and code the record does not keep.
local NO_READERS = '-'

local started_ms

-- Return the milliseconds since 1970 at which the script asked first: a script has one time.
local function now_ms()
  if not started_ms then
    local time = redis.call('TIME')
    started_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return started_ms
end

-- Return some fields of a hash by name; one that is absent is nil.
local function read_fields(key, ...)
  local names, found = {...}, {}
  for i, value in ipairs(redis.call('HMGET', key, ...)) do
    if value then found[names[i]] = value end
  end
  return found
end

-- Return some fields of a turn's record by name.
local function fields(id, ...)
  return read_fields(turn_key(id), ...)
end

-- Return a turn's whole record by field names; nil when there is none.
local function record_of(id)
  local flat = redis.call('HGETALL', turn_key(id))
  if #flat == 0 then return nil end
  local record = {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record
end

-- Whether a turn waits or runs, by the `status` of its record.
local function is_active(record)
  return record ~= nil and (record.status == 'queued' or record.status == 'in_progress')
end

-- Return the node that a turn was submitted at, or '' if it has no readers.
local function origin_node(record)
  return record.nodes ~= NO_READERS and string.match(record.nodes or '', '^[^\n]*') or ''
end

-- Whether a newer release wrote a record, by its `version`. Such a record is left alone: it may mean something else.
local function is_newer(record)
  return record ~= nil and tonumber(record.version or 0) > VERSION
end
