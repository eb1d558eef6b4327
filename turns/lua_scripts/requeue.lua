-- Hand on turns that a worker leaves unfinished: back to the head of their line, at once. ARGV after the worker's
-- name: for each turn id and attempt.
local worker, moved = ARGV[1], {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local record = record_of(id)
  if record and record.status == 'in_progress' and record.worker == worker and record.attempt == ARGV[i + 1] then
    requeue(id, record.model, record.tier, record.member, now_ms() - tonumber(record.began or now_ms()))
    moved[#moved + 1] = id
  end
end
return moved
