-- include: statistics
-- Read what an operator may know of a turn: its record without what was said. Changes nothing.
-- Arguments: id, alive_ms.
-- Returns {} if there is no such turn; else {record as names and values in turn, its queue place ("position size
--   eta_seconds workers") or ''}.

-- The fields that are shown. A new one is not shown before somebody has looked at what it holds.
local SHOWN = {'version', 'owner', 'model', 'tier', 'status', 'attempt', 'worker', 'queued_at', 'claimed_at', 'requeues',
  'running_ms', 'cancel_requested', 'seq', 'store', 'previous_response_id', 'conversation', 'depth', 'bytes', 'batch',
  'line', 'reserved_tokens', 'stored_bytes', 'stored_until', 'nodes', 'error'}

local record = record_of(args.id)
if not record or not record.model then return {} end
local flat = {}
for _, name in ipairs(SHOWN) do
  if record[name] then
    flat[#flat + 1] = name
    flat[#flat + 1] = record[name]
  end
end
local place, queue = '', record.queue_member and queue_key(record.model, record.tier)
if queue and redis.call('ZRANK', queue, record.queue_member) then
  place = queue_place(record.model, record.tier, record.queue_member, capacity_of(record.model, now_ms()), now_ms())
end
return {flat, place}
