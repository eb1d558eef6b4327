-- include: prelude
-- Create a batch, for whichever node takes it first. Repeated with the same id it creates nothing.
-- Arguments: id, owner, now (seconds), fingerprint (of the request), most (batches of an owner that have not ended, 0: no
--   limit). ARGV[2]: plan (JSON, see turns/batch.py).
-- Returns ok, known, idempotency_key_reused when the id was used for another request, or limited.
local key = batch_key(args.id)
local known = read_fields(key, 'owner', 'fingerprint')
if known.owner then return known.fingerprint == args.fingerprint and 'known' or 'idempotency_key_reused' end
local active = active_batches_key(args.owner)
if args.most > 0 and redis.call('SCARD', active) >= args.most then
  -- A batch that was lost with the data of Redis never ends.
  for _, id in ipairs(redis.call('SMEMBERS', active)) do
    if redis.call('EXISTS', batch_key(id)) == 0 then redis.call('SREM', active, id) end
  end
  if redis.call('SCARD', active) >= args.most then return 'limited' end
end
redis.call('SADD', active, args.id)
redis.call('HSET', key, 'version', VERSION, 'owner', args.owner, 'status', 'validating',
  'fingerprint', args.fingerprint, 'plan', ARGV[2])
redis.call('ZADD', batches_key(args.owner), args.now, args.id)
redis.call('ZADD', batch_leases_key(), 0, args.id)
return 'ok'
