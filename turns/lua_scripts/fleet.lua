-- include: prelude
-- Read the processes and batches of the service, for operators. Changes nothing.
-- Arguments: max_models, max_batches (at most so many are reported).
-- Returns {workers, nodes, batches}: for each worker that is registered {model, name, slots, free slots, ms since its
--   last heartbeat, 1 if it is draining}; names of nodes; for each batch that has not ended {id, owner, status, model,
--   total, completed, failed}.
local now, workers, nodes, batches = now_ms(), {}, {}, {}

local models, served = {}, redis.call('HGETALL', models_key())
for i = 1, #served, 2 do models[#models + 1] = served[i] end
table.sort(models)
for i = 1, math.min(#models, args.max_models) do
  local model = models[i]
  local latest = redis.call('ZRANGE', heartbeats_key(model), 0, -1, 'WITHSCORES')
  for n = 1, #latest, 2 do
    local name = latest[n]
    workers[#workers + 1] = {model, name, tonumber(redis.call('HGET', slots_key(model), name) or 0),
      tonumber(redis.call('HGET', free_slots_key(model), name) or 0), now - tonumber(latest[n + 1]),
      redis.call('HEXISTS', draining_key(model), name)}
  end
end

-- A node listens to its own channel for as long as it runs. A user whom Redis does not let see channels sees no nodes.
local before = #node_channel_key('')
for _, channel in ipairs(redis.pcall('PUBSUB', 'CHANNELS', node_channel_key('*'))) do
  nodes[#nodes + 1] = string.sub(channel, before + 1)
end
table.sort(nodes)

for i, id in ipairs(redis.call('ZRANGE', batch_leases_key(), 0, args.max_batches - 1)) do
  local batch = read_fields(batch_key(id), 'owner', 'status', 'model', 'total', 'completed', 'failed')
  batches[i] = {id, batch.owner or '', batch.status or '', batch.model or '', tonumber(batch.total or 0),
    tonumber(batch.completed or 0), tonumber(batch.failed or 0)}
end
return {workers, nodes, batches}
