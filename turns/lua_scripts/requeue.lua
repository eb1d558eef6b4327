-- include: slots
-- Requeue turns that a worker leaves unfinished, at the head of their queue.
-- Arguments: worker (name), turns: a list of {id, attempt}. Returns the ids of the turns that were requeued.
local moved, now = {}, now_ms()
for _, turn in ipairs(args.turns) do
  local id = turn[1]
  local record = record_of(id)
  if record and record.status == 'in_progress' and record.worker == args.worker
    and tonumber(record.attempt) == turn[2] then
    requeue(id, record, now)
    moved[#moved + 1] = id
  end
end
return moved
