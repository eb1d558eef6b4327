-- Ask the workers of a model how many tokens a conversation is. Nothing is written that outlives the waiting.
local id, node, owner, model = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local parent, parent_cached, asks = ARGV[5], ARGV[6], ARGV[7]
local request, input, compact = ARGV[8], ARGV[9], ARGV[10]
local alive_ms, most, wait_seconds = tonumber(ARGV[11]), tonumber(ARGV[12]), ARGV[13]

local refusal = hold_conversation(parent, owner, parent_cached, ARGV[14], ARGV[15])
if refusal then return refusal end
if asks == '0' and not is_open(parent) then return 'nothing_asked' end
if redis.call('ZCOUNT', heartbeats_key(model), now_ms() - alive_ms, '+inf') == 0 then return 'nobody' end
if redis.call('LLEN', counts_key(model)) >= most then return 'too_many' end

redis.call('RPUSH', counts_key(model), cjson.encode({
  id = id, node = node, request = request, input = input, compact = compact, said = said_before(parent),
}))
redis.call('EXPIRE', counts_key(model), wait_seconds)
return 'ok'
