-- include: events, conversation
-- Feeds: what happens in a conversation, as numbered entries. A feed begins when somebody follows it first, with what
-- the conversation has by then; one that nobody has followed costs one look for each turn.
-- An entry is the JSON of an event. Its number is in it, so the list itself says how far it goes, also after it was
-- trimmed; it is never empty. Its cursor is the number and the time, in microseconds: where a failover lost entries and
-- others got their numbers, these have other cursors.

-- Entries that a feed keeps.
local FEED_ENTRIES = 1000
-- How long it is kept after its end.
local FEED_END_SECONDS = 60

-- Return the feed of a turn: its conversation's, or that of the tree of turns that continue the same first turn.
local function feed_of(id, record)
  return record.conversation or record.root or id
end

-- Return the first turn of the tree that a turn is in. One that continues a turn of a conversation with an id from
-- outside begins a tree there.
local function root_of(turn)
  local record = fields(turn, 'root', 'conversation', 'previous_response_id')
  -- Records of earlier releases don't say.
  while not record.root and not record.conversation and record.previous_response_id do
    turn = record.previous_response_id
    record = fields(turn, 'root', 'conversation', 'previous_response_id')
  end
  return record.root or turn
end

local function number_of(entry)
  return tonumber(string.match(entry, '"sequence_number":(%d+)'))
end

local function has_cursor(entry, cursor)
  return string.find(entry, '"cursor":"' .. cursor .. '"', 1, true) ~= nil
end

local written_at

-- Return the cursor of the entry that is written now with a number.
local function new_cursor(seq)
  written_at = written_at or string.format('%d%06d', unpack(redis.call('TIME')))
  return string.format('%.0f-%s', seq, written_at)
end

-- Return an entry; `more` is the JSON of its further fields, with a comma in front.
local function feed_entry(feed, seq, type, more)
  return '{"type":"turnstream:conversation.' .. type .. '","sequence_number":' .. string.format('%.0f', seq)
    .. ',"cursor":"' .. new_cursor(seq) .. '","conversation":"' .. feed .. '"' .. more .. '}'
end

local function created_fields(id, previous)
  return ',"response_id":"' .. id .. '","previous_response_id":' .. (previous and '"' .. previous .. '"' or 'null')
end

local function ended_fields(id, status)
  return ',"response_id":"' .. id .. '","status":"' .. status .. '"'
end

-- Name an item that was added by hand, as the lists of items do. `input` is the JSON of its turn.
local function item_fields(id, input)
  local kind = string.sub(input, 1, 2) == '[[' and 'msg' or 'fc'
  return ',"item_id":"' .. kind .. string.sub(id, 5) .. '_0"'
end

-- Write entries at the end of a feed, and keep it as long as what it is about.
local function write_feed(feed, owner, entries)
  local key, bytes = feed_key(feed), 0
  for _, entry in ipairs(entries) do
    redis.call('RPUSH', key, entry)
    bytes = bytes + #entry
  end
  redis.call('LTRIM', key, -FEED_ENTRIES, -1)
  if args.store_seconds then redis.call('EXPIRE', key, args.store_seconds + hold_seconds()) end
  count_bytes(owner, bytes, counted_until(redis.call('TTL', key)))
end

-- Address an entry to the nodes that follow a feed.
local function post_entry(feed, seq, entry, last)
  local nodes = redis.call('ZRANGEBYSCORE', feed_nodes_key(feed), now_ms(), '+inf')
  if #nodes > 0 then post('feed:' .. feed, string.format('%.0f', seq), entry, last, table.concat(nodes, '\n')) end
end

-- Return the number of a feed's next entry; nil if nobody has followed it, or it has ended.
local function next_number(feed)
  local last = redis.call('LINDEX', feed_key(feed), -1)
  if last and not string.find(last, '{"type":"turnstream:conversation.deleted"', 1, true) then return number_of(last) + 1 end
end

-- Add an entry to a feed that somebody has followed.
local function add_to_feed(feed, owner, type, more)
  local seq = next_number(feed)
  if not seq then return end
  local entry = feed_entry(feed, seq, type, more)
  write_feed(feed, owner, {entry})
  post_entry(feed, seq, entry, false)
end

-- End a feed: what it is about was deleted. Its followers can read it to its end for a while.
local function end_feed(feed)
  local seq = next_number(feed)
  if not seq then return end
  local entry = feed_entry(feed, seq, 'deleted', '')
  redis.call('RPUSH', feed_key(feed), entry)
  redis.call('EXPIRE', feed_key(feed), FEED_END_SECONDS)
  post_entry(feed, seq, entry, true)
end
