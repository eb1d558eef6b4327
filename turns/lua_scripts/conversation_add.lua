-- include: feed, last_turn
-- Create a conversation with an id, or add items to one. Repeated with the same ids it does nothing.
-- Arguments: id, owner, created_at (seconds, optional: create it first), turns: a list of {id, asks, spoken} for each
--   item (asks: a user's message that waits for an answer; spoken: not of the system), store_seconds,
--   unstored_seconds, conversation_bytes, conversation_turns, stored_bytes (limit of the owner).
-- ARGV[2]: metadata (JSON) of a new conversation. ARGV[3...]: input (JSON) of each turn.
-- Returns ok, conversation_not_found, conversation_locked, newer_version, too_many_bytes or too_many_turns (of the
--   conversation), or limited.
local id, owner, key = args.id, args.owner, conversation_key(args.id)
local kept = args.store_seconds + hold_seconds()

if args.turns[1] and redis.call('EXISTS', turn_key(args.turns[1].id)) == 1 then return 'ok' end
local creates = args.created_at and redis.call('EXISTS', key) == 0
local previous, refusal
if not creates then previous, refusal = hold_previous({owner = owner, conversation = id}) end
if refusal then return refusal end
local bytes, stored = 0, 0
for i in ipairs(args.turns) do
  bytes, stored = bytes + #ARGV[i + 2], stored + record_bytes(#ARGV[i + 2])
end
local before, turns, excess = measure(previous, bytes)
before, turns = before - bytes, turns - 1
if not excess and turns + #args.turns > args.conversation_turns then excess = 'turns' end
if excess then return 'too_many_' .. excess end
if not has_room(owner, stored, args.stored_bytes) then return 'limited' end
if creates then
  redis.call('HSET', key, 'version', VERSION, 'owner', owner, 'created_at', args.created_at, 'metadata', ARGV[2])
  redis.call('EXPIRE', key, kept)
end

for i, turn in ipairs(args.turns) do
  local awaits = turn.asks or (not turn.spoken and awaits_answer(previous))
  redis.call('HSET', turn_key(turn.id), 'version', VERSION, 'owner', owner, 'status', 'completed', 'store', '0',
    'input', ARGV[i + 2], 'output', '', 'awaits_answer', awaits and 1 or 0, 'conversation', id)
  before, turns = before + #ARGV[i + 2], turns + 1
  join_conversation(turn.id, previous, before, turns, not turn.spoken and ARGV[i + 2] or nil)
  redis.call('EXPIRE', turn_key(turn.id), kept)
  count_record(turn.id, owner, kept)
  add_to_feed(id, owner, 'item.created', item_fields(turn.id, ARGV[i + 2]))
  previous = turn.id
end
set_last(id, previous)
publish_outbox()
return 'ok'
