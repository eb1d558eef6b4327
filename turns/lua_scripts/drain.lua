-- include: prelude
-- Let a worker finish its turns and claim no more, or let it claim again. It stays so until it is resumed or restarted.
-- Arguments: model, worker (names), drain (boolean).
-- Returns ok, or not_found if the model has no such worker.
if not redis.call('ZSCORE', heartbeats_key(args.model), args.worker) then return 'not_found' end
if args.drain then
  redis.call('HSET', draining_key(args.model), args.worker, now_ms())
else
  redis.call('HDEL', draining_key(args.model), args.worker)
  redis.call('PUBLISH', worker_channel_key(args.model, args.worker), 'wake_up')
end
return 'ok'
