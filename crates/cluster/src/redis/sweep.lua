-- Looks at the users who are due, at most a number of them, and returns those whose status has
-- changed, each followed by the status. Whoever runs this first is the one to tell.
--
-- When nobody has done this for long, Redis was away, and what nodes said has expired although
-- nobody has left. Then nothing is decided until they have had the time to say it again.
--
-- KEYS: those who are due, when this was done last. ARGV: expire, grace, idle, prefix of users'
-- hashes, how many, how long not to decide. Returns how many were looked at and what has changed.
local swept = redis.call('HMGET', KEYS[2], 'at', 'hold')
local hold = tonumber(swept[2] or '0')
if now - tonumber(swept[1] or '0') > expire / 2 then hold = now + tonumber(ARGV[6]) end
redis.call('HSET', KEYS[2], 'at', string.format('%.0f', now), 'hold', string.format('%.0f', hold))
if now < hold then return { 0, {} } end

local users = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[5]))
local changed = {}
for _, user in ipairs(users) do
  local status = settle(ARGV[4] .. user, KEYS[1], user)
  if status then
    changed[#changed + 1] = user
    changed[#changed + 1] = status
  end
end
return { #users, changed }
