-- include: prelude
-- Create a batch, for whichever node takes it first. Repeated with the same id it creates nothing.
-- Arguments: id, owner, now (seconds), fingerprint (of the request). ARGV[2]: plan (JSON, see turns/batch.py).
-- Returns ok, known, or idempotency_key_reused when the id was used for another request.
local key = batch_key(args.id)
local known = read_fields(key, 'owner', 'fingerprint')
if known.owner then return known.fingerprint == args.fingerprint and 'known' or 'idempotency_key_reused' end
redis.call('HSET', key, 'version', VERSION, 'owner', args.owner, 'status', 'validating',
  'fingerprint', args.fingerprint, 'plan', ARGV[2])
redis.call('ZADD', batches_key(args.owner), args.now, args.id)
redis.call('ZADD', batch_leases_key(), 0, args.id)
return 'ok'
