-- include: feed, last_turn
-- Add a node to those that follow a feed, and read the feed after an entry, atomically. With `id` it is opened, and made
-- if there is none; with `feed` it goes on.
-- Arguments: id (of a conversation, or of a response of a tree) or feed (as returned), owner, node, after (number of an
--   entry, -1 for none, or its cursor, of which it is checked that this entry is there), bytes (of entries; at least one is returned), lease_ms (until the node has to renew this),
--   store_seconds, unstored_seconds.
-- Returns {'ok', feed, number of the first entry, of the last one, entries, with `id` those of its turns that had not
--   ended by entry `after` (-1: by now)}; {conversation_not_found}, {response_not_found}, {newer_version},
--   {stream_expired}, {deleted}.
-- Entries that are read at a time.
local CHUNK = 64

local cursor = type(args.after) == 'string' and args.after
if cursor then args.after = tonumber(string.match(cursor, '^%d+')) end

local feed, last_id = args.feed, nil
if args.id and string.sub(args.id, 1, 5) == 'conv_' then
  local record = read_fields(conversation_key(args.id), 'owner', 'last', 'version')
  if record.owner ~= args.owner then return {'conversation_not_found'} end
  if is_newer(record) then return {'newer_version'} end
  feed, last_id = args.id, record.last
elseif args.id then
  local record = fields(args.id, 'owner', 'version', 'conversation', 'root', 'previous_response_id', 'response')
  if not record.response or record.owner ~= args.owner then return {'response_not_found'} end
  if is_newer(record) then return {'newer_version'} end
  feed, last_id = record.conversation or root_of(args.id), args.id
  if record.conversation then last_id = redis.call('HGET', conversation_key(feed), 'last') end
end

local key = feed_key(feed)
if redis.call('EXISTS', key) == 0 then
  if not args.id then
    local is_there = string.sub(feed, 1, 5) == 'conv_' and conversation_key(feed) or turn_key(feed)
    return {redis.call('EXISTS', is_there) == 1 and 'stream_expired' or 'deleted'}
  end
  local entries, ids = {feed_entry(feed, 0, 'opened', '')}, turns_from(last_id)
  local function add(type, more) entries[#entries + 1] = feed_entry(feed, #entries, type, more) end
  -- A tree may begin at a turn of a conversation, whose turns before it are not in it. A turn has two entries.
  local oldest = math.min(#ids, FEED_ENTRIES / 2 - 1)
  for i = 1, oldest do
    if ids[i] == feed then oldest = i end
  end
  for i = oldest, 1, -1 do
    local record = fields(ids[i], 'status', 'response', 'input', 'previous_response_id', 'conversation')
    if record.response then
      add('response.created', created_fields(ids[i], not record.conversation and record.previous_response_id))
      if not is_active(record) then add('response.ended', ended_fields(ids[i], record.status)) end
    elseif record.status then
      add('item.created', item_fields(ids[i], record.input))
    end
  end
  write_feed(feed, args.owner, entries)
end

redis.call('ZREMRANGEBYSCORE', feed_nodes_key(feed), '-inf', now_ms())
redis.call('ZADD', feed_nodes_key(feed), now_ms() + args.lease_ms, args.node)
redis.call('PEXPIRE', feed_nodes_key(feed), args.lease_ms)

local first, last = number_of(redis.call('LINDEX', key, 0)), number_of(redis.call('LINDEX', key, -1))
local after = args.id and args.after == -1 and first - 1 or args.after
if after < first - 1 or after > last then return {'stream_expired'} end
if cursor and (after < first or not has_cursor(redis.call('LINDEX', key, after - first), cursor)) then
  return {'stream_expired'}
end

local entries, left, read = {}, args.bytes, CHUNK
while left > 0 and read == CHUNK do
  local from = after + #entries + 1 - first
  local some = redis.call('LRANGE', key, from, from + CHUNK - 1)
  read = #some
  for _, entry in ipairs(some) do
    if #entries > 0 and #entry > left then left = 0 end
    if left <= 0 then break end
    entries[#entries + 1] = entry
    left = left - #entry
  end
end

local active = {}
if args.id then
  local running, order = {}, {}
  local until_entry = args.after == -1 and last or args.after
  for _, entry in ipairs(redis.call('LRANGE', key, 0, until_entry - first)) do
    local kind, id = string.match(entry, '^{"type":"turnstream:conversation%.response%.(%a+)".*"response_id":"(resp_%x+)"')
    if kind == 'created' then
      running[id] = true
      order[#order + 1] = id
    elseif kind then
      running[id] = nil
    end
  end
  for _, id in ipairs(order) do
    if running[id] then active[#active + 1] = id end
  end
end
return {'ok', feed, first, last, entries, active}
