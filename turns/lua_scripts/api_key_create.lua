-- include: owner
-- Store a key or a client token under the digest of its text.
-- Arguments: digest, owner, fields (names and values of `ApiKeyRecord` in turn), id (optional: a key, which is listed),
--   expires_at (optional, seconds since 1970), per_minute (optional: client tokens that the owner may have made).
-- Returns ok, or the milliseconds after which another client token may be made.
if args.per_minute then
  local wait = take_one(args.owner, 'client_tokens', args.per_minute, now_ms())
  if wait then return math.ceil(wait) end
end
redis.call('HSET', api_key_key(args.digest), 'version', VERSION, unpack(args.fields))
if args.expires_at then redis.call('EXPIREAT', api_key_key(args.digest), args.expires_at) end
if args.id then redis.call('HSET', api_keys_key(), args.id, args.digest) end
return 'ok'
