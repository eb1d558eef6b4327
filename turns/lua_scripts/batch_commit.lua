-- include: feed, slots
-- Commit lines of a batch into its output, and delete their turns, atomically: a line is either committed and in a
-- part of the output, or will be written again into another part.
-- Arguments: id, epoch, step (number of this commit, from 1), completed, failed, input_tokens, cached_tokens,
--   output_tokens (to add), read (ended turns to drop from the head of the batch's list), place (text: number and
--   offset of the first line that may not be committed), parts (list of names), lines (list of {number, turn id or ''}).
-- Returns the step, or nothing when the batch has another runner.
local id, key = args.id, batch_key(args.id)
local record = read_fields(key, 'epoch', 'step')
if tonumber(record.epoch) ~= args.epoch then return false end
-- Committed before: only the reply was lost.
if tonumber(record.step or 0) >= args.step then return args.step end

redis.call('HSET', key, 'step', args.step, 'place', args.place)
for _, name in ipairs({'completed', 'failed', 'input_tokens', 'cached_tokens', 'output_tokens'}) do
  redis.call('HINCRBY', key, name, args[name])
end
for _, part in ipairs(args.parts) do redis.call('RPUSH', batch_parts_key(id), part) end
redis.call('LTRIM', batch_ended_key(id), args.read, -1)
for _, line in ipairs(args.lines) do
  local turn = line[2]
  redis.call('SETBIT', batch_commits_key(id), line[1], 1)
  if turn ~= '' then
    local ended = fields(turn, 'model', 'tier', 'queue_member', 'status', 'owner', 'root')
    -- A turn that did not end in time is removed wherever it is; its worker learns of it at its next append.
    if is_active(ended) then
      redis.call('ZREM', queue_key(ended.model, ended.tier), ended.queue_member)
      leave_slot(turn, ended.model)
      redis.call('ZREM', deadlines_key(), turn)
    end
    redis.call('UNLINK', turn_key(turn), log_key(turn))
    if ended.root then add_to_feed(ended.root, ended.owner, 'response.deleted', ',"response_id":"' .. turn .. '"') end
  end
end
publish_outbox()
return args.step
