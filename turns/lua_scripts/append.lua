-- include: ending, statistics
-- Append the events of one engine step, for any number of turns, and publish them. Each turn's part is refused or
-- written as a whole.
-- Arguments: worker (name); alive_ms, log_seconds, store_seconds, unstored_seconds; parts, a list with for each turn:
--   id, attempt, first (number of its first event), count (of events),
--   final: absent while it goes on; 'requeued' to put it back into its queue; else its terminal status,
--   tokens (integer, with a terminal status): tokens of prompt and answer together,
--   calls: 1 if its answer calls tools, else absent,
--   logprobs: 1 if its entries have log probabilities, else absent.
-- ARGV[2...]: for each part in order: event (JSON), token ids (comma-separated) and, with `logprobs`, their log
--   probabilities (JSON or '') `count` times, then with a terminal status: error (JSON), response (JSON after status
--   and error), output (text) and, with `calls`, the calls (JSON).
-- Returns for each part one word: ok, gone (no record), stale (another attempt has it), repeated (written before),
--   ended, gap (`first` is not the next number).
local at, verdicts, now = 2, {}, now_ms()

for _, part in ipairs(args.parts) do
  local id, first, count, final = part.id, part.first, part.count, part.final
  local ends = final and final ~= 'requeued'
  local events = at
  local width = part.logprobs and 3 or 2
  local last = at + width * count
  at = last + (ends and 3 or 0) + (part.calls or 0)

  -- Unpacked instead of read by `fields`: this is done for every slice, and the table would cost 1.5 microseconds.
  local attempt, seq, status, worker, nodes =
    unpack(redis.call('HMGET', turn_key(id), 'attempt', 'seq', 'status', 'worker', 'nodes'))
  local verdict = 'ok'
  if not attempt then verdict = 'gone'
  elseif tonumber(attempt) ~= part.attempt then verdict = 'stale'
  -- After a rollback of Redis two workers may hold the same attempt.
  elseif worker ~= args.worker then verdict = 'stale'
  -- Written before by this very attempt: only the reply was lost.
  elseif first <= tonumber(seq) then verdict = 'repeated'
  elseif status ~= 'in_progress' then verdict = 'ended'
  elseif first ~= tonumber(seq) + 1 then verdict = 'gap'
  else
    local ending = ends and fields(id, 'successor', 'cancel_requested')
    local steering = ending and steering_of(ending, final, part.calls)
    for i = 0, count - 1 do
      local entry, final_event = events + width * i, ends and i == count - 1
      local event = ARGV[entry]
      if final_event and steering then event = with_steering(event, steering, ending.successor) end
      emit(id, first + i, event, ARGV[entry + 1], final_event, nodes, width == 3 and ARGV[entry + 2])
    end
    if not final then
      redis.call('HSET', turn_key(id), 'seq', first + count - 1)
    else
      local record = fields(id, 'model', 'tier', 'queue_member', 'claimed_at', 'running_ms', 'store', 'batch', 'owner',
        'reserved_tokens', 'budget_day', 'conversation', 'root', 'bytes')
      if ends then
        redis.call('HSET', turn_key(id), 'seq', first + count - 1, 'status', final, 'error', ARGV[last],
          'response', with_steering(ARGV[last + 1], steering, ending.successor), 'output', ARGV[last + 2])
        if part.calls then redis.call('HSET', turn_key(id), 'calls', ARGV[last + 3]) end
        if record.bytes then
          redis.call('HINCRBY', turn_key(id), 'bytes', #ARGV[last + 2] + (part.calls and #ARGV[last + 3] or 0))
        end
        record_duration(record.model, record.tier, now - record.claimed_at + (record.running_ms or 0))
        release(id, record, part.tokens, final)
        settle_steers(id, record.owner, steering)
      else
        redis.call('HSET', turn_key(id), 'seq', first + count - 1)
        if requeue(id, record, now) then
          redis.call('HINCRBY', free_slots_key(record.model), args.worker, 1)
        end
      end
    end
  end
  verdicts[#verdicts + 1] = verdict
end
publish_outbox()
return verdicts
