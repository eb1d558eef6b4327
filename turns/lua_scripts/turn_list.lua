-- include: prelude
-- List turns for operators, a bounded number of records at a time. Changes nothing.
-- Arguments: cursor (text; '' begins), active (boolean: only turns that wait or run, in the order of their deadlines;
--   else all that are kept, in no order), limit (turns that are wanted; a page may have more);
--   owner, model, status (optional: only these).
-- Returns {next cursor or '', turns}, each turn a list of the values of FIELDS after its id, '' where one is absent.
local FIELDS = {'owner', 'model', 'tier', 'status', 'attempt', 'worker', 'queued_at', 'claimed_at', 'batch'}
-- Records that one call reads.
local MAX_READ = 1000

local found, read = {}, 0

local function look(id)
  read = read + 1
  local values = redis.call('HMGET', turn_key(id), unpack(FIELDS))
  local owner, model, status = values[1], values[2], values[4]
  -- A message that was added to a conversation by hand is no turn: it has no model.
  if not model or (args.owner and owner ~= args.owner) or (args.model and model ~= args.model)
    or (args.status and status ~= args.status) then return end
  local row = {id}
  for n = 1, #FIELDS do row[n + 1] = values[n] or '' end
  found[#found + 1] = row
end

if args.active then
  local start = tonumber(args.cursor) or 0
  while read < MAX_READ and #found < args.limit do
    local ids = redis.call('ZRANGE', deadlines_key(), start, start + 99)
    for _, id in ipairs(ids) do look(id) end
    start = start + #ids
    if #ids < 100 then return {'', found} end
  end
  return {tostring(start), found}
end

local cursor, before = args.cursor == '' and '0' or args.cursor, #turn_key('')
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', turn_key('*'), 'COUNT', 200)
  cursor = page[1]
  read = read + 50
  for _, key in ipairs(page[2]) do look(string.sub(key, before + 1)) end
until cursor == '0' or read >= MAX_READ or #found >= args.limit
return {cursor == '0' and '' or cursor, found}
