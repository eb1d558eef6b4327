-- include: prelude
-- Note that a node still follows feeds. Arguments: feeds (list), node, lease_ms.
for _, feed in ipairs(args.feeds) do
  if redis.call('EXISTS', feed_key(feed)) == 1 then
    redis.call('ZADD', feed_nodes_key(feed), now_ms() + args.lease_ms, args.node)
    redis.call('PEXPIRE', feed_nodes_key(feed), args.lease_ms)
  end
end
