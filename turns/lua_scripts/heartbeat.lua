-- include: slots
-- A worker's heartbeat: renew the leases of its turns.
-- Arguments: model, worker (names), lease_ms, alive_ms (milliseconds), slots (of the worker), turns: a list of
--   {id, attempt}.
-- ARGV[2]: the model's self-description (JSON, see turns/record.py).
-- Returns for each turn one word: ok, cancel (it is to end), steer (it is to end with its next slice), preempt (it is to
--   be requeued), lost (it ended, or another attempt has it).
local model, now, verdicts = args.model, now_ms(), {}

redis.call('ZADD', heartbeats_key(model), now, args.worker)
redis.call('HSET', slots_key(model), args.worker, args.slots)
redis.call('HSET', models_key(), model, ARGV[2])
-- Submit preempts at once; this repeats it for commands that were lost.
preempt(model, now, capacity_of(model, now))
for _, turn in ipairs(args.turns) do
  local id = turn[1]
  local record = fields(id, 'attempt', 'status', 'cancel_requested', 'worker', 'successor')
  local verdict = 'lost'
  -- A turn that an operator put back has no worker.
  if tonumber(record.attempt) == turn[2] and record.status == 'in_progress' and record.worker == args.worker then
    redis.call('ZADD', leases_key(), now + args.lease_ms, id)
    verdict = record.cancel_requested and 'cancel' or record.successor and 'steer'
      or redis.call('ZSCORE', preempted_key(model), id) and 'preempt' or 'ok'
  end
  verdicts[#verdicts + 1] = verdict
end
return verdicts
