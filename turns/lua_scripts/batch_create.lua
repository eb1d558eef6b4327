-- include: owner
-- Create a batch, for whichever node takes it first. Repeated with the same id it creates nothing.
-- Arguments: id, owner, now (seconds), fingerprint (of the request), limits (see owner.lua; `batches` that have not
--   ended), day (of now, UTC). ARGV[2]: plan (JSON, see turns/batch.py).
-- Returns ok, known, idempotency_key_reused when the id was used for another request, limited, or the
--   name of the budget that is used up.
local key = batch_key(args.id)
local known = read_fields(key, 'owner', 'fingerprint')
if known.owner then return known.fingerprint == args.fingerprint and 'known' or 'idempotency_key_reused' end
local active = active_batches_key(args.owner)
if args.limits.batches > 0 and redis.call('SCARD', active) >= args.limits.batches then
  -- A batch that was lost with the data of Redis never ends.
  for _, id in ipairs(redis.call('SMEMBERS', active)) do
    if redis.call('EXISTS', batch_key(id)) == 0 then redis.call('SREM', active, id) end
  end
  if redis.call('SCARD', active) >= args.limits.batches then return 'limited' end
end
local used_up = has_budget(args.limits) and exceeded(args.limits, spent_of(args.owner, args.day), 1)
if used_up then return used_up end
redis.call('SADD', active, args.id)
redis.call('HSET', key, 'version', VERSION, 'owner', args.owner, 'status', 'validating',
  'fingerprint', args.fingerprint, 'plan', ARGV[2])
redis.call('ZADD', batches_key(args.owner), args.now, args.id)
redis.call('ZADD', batch_leases_key(), 0, args.id)
return 'ok'
