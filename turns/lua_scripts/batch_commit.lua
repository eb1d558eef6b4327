-- Note that lines of a batch are in its output, and forget their turns: all at one instant, so that a line is either
-- marked and in a part that counts, or will be written again into another part. ARGV after the tenth: the number of
-- parts and their names, then for each line its number and its turn ('' when none was made of it).
local id, epoch, step = ARGV[1], ARGV[2], tonumber(ARGV[3])
local completed, failed, input_tokens, cached_tokens, output_tokens = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local read, place = ARGV[9], ARGV[10]
local parts = tonumber(ARGV[11])

local record = redis.call('HMGET', batch_key(id), 'epoch', 'step')
if record[1] ~= epoch then return false end
-- Marked before: only the answer was lost.
if tonumber(record[2] or 0) >= step then return step end

redis.call('HSET', batch_key(id), 'step', step, 'place', place)
redis.call('HINCRBY', batch_key(id), 'completed', completed)
redis.call('HINCRBY', batch_key(id), 'failed', failed)
redis.call('HINCRBY', batch_key(id), 'input_tokens', input_tokens)
redis.call('HINCRBY', batch_key(id), 'cached_tokens', cached_tokens)
redis.call('HINCRBY', batch_key(id), 'output_tokens', output_tokens)
for i = 1, parts do redis.call('RPUSH', batch_parts_key(id), ARGV[11 + i]) end
redis.call('LTRIM', batch_ended_key(id), read, -1)
for i = 12 + parts, #ARGV, 2 do
  local turn = ARGV[i + 1]
  redis.call('SETBIT', batch_commits_key(id), ARGV[i], 1)
  if turn ~= '' then
    local line = redis.call('HMGET', turn_key(turn), 'model', 'tier', 'member', 'status')
    -- One that would not end in time is let go of wherever it is; its worker is told so at its next word.
    if line[4] == 'queued' or line[4] == 'in_progress' then
      redis.call('ZREM', queue_key(line[1], line[2]), line[3])
      leave_slot(turn, line[1])
      redis.call('ZREM', deadlines_key(), turn)
    end
    redis.call('UNLINK', turn_key(turn), log_key(turn))
  end
end
return step
