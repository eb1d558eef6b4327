-- Append the events of one engine step, for any number of turns, and publish them: each turn by itself is
-- refused or written whole. ARGV after the first four: for each turn id, attempt, number of its first event,
-- count, then event and token ids `count` times, then its final status: '' while it goes on, 'requeued' to give
-- the turn back to its line with all that was said; any other is followed by the error as JSON, the response's
-- rest, the answer's text and the number of tokens of both question and answer.
local worker, log_seconds, store_seconds, unstored_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at, verdicts = 5, {}

while at <= #ARGV do
  local id, attempt, first, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local events = at + 4
  local final = ARGV[events + 2 * count]
  local ends = final ~= '' and final ~= 'requeued'
  at = events + 2 * count + (ends and 5 or 1)

  local record = redis.call('HMGET', turn_key(id), 'attempt', 'seq', 'status', 'store', 'worker', 'nodes',
    'model', 'tier', 'member', 'began', 'ran')
  local verdict = 'ok'
  if not record[1] then verdict = 'gone'
  elseif record[1] ~= attempt then verdict = 'stale'
  -- After a rollback of Redis two workers may hold the same attempt.
  elseif record[5] ~= worker then verdict = 'stale'
  -- Written before, and by this very attempt: only its answer was lost.
  elseif first <= tonumber(record[2]) then verdict = 'repeated'
  elseif record[3] ~= 'in_progress' then verdict = 'ended'
  elseif first ~= tonumber(record[2]) + 1 then verdict = 'hole'
  else
    for i = 0, count - 1 do
      local last = ends and i == count - 1
      emit(id, first + i, ARGV[events + 2 * i], ARGV[events + 2 * i + 1], last, record[6])
    end
    redis.call('HSET', turn_key(id), 'seq', first + count - 1)
    if final == 'requeued' then
      local frees = requeue(id, record[7], record[8], record[9], now_ms() - record[10])
      if frees then redis.call('HINCRBY', free_slots_key(record[7]), worker, 1) end
    elseif ends then
      redis.call('HSET', turn_key(id), 'status', final, 'error', ARGV[at - 4],
        'response', ARGV[at - 3], 'output', ARGV[at - 2])
      learn_pace(record[7], record[8], now_ms() - record[10] + (record[11] or 0))
      retire(id, record[7], tonumber(ARGV[at - 1]), record[4], log_seconds, store_seconds, unstored_seconds)
    end
  end
  verdicts[#verdicts + 1] = verdict
end
publish_outbox()
return verdicts
