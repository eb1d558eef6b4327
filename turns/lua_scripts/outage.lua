-- include: prelude
-- Tells an outage of Redis or of all processes, after which what has lapsed may only not have been renewed.

-- There was one if nobody swept for longer than this.
local OUTAGE_MS = 5000
-- What has lapsed is then left alone for so long, in which those that are still alive renew it.
local GRACE_MS = 1500

-- Return until when that is, in milliseconds; a time in the past when there was no outage.
local function grace_until(now)
  local sweep = read_fields(sweep_key(), 'last', 'grace_until')
  if now - tonumber(sweep.last or now) > OUTAGE_MS then return now + GRACE_MS end
  return tonumber(sweep.grace_until or 0)
end
