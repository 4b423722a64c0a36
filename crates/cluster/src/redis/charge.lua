-- Charges a budget for what nodes have let through already, so that it may be overdrawn.
--
-- KEYS: the budget, which holds when it is whole again. ARGV: interval, burst, how many, how long
-- ago the first of them was, the most that may be owed. Times in microseconds. Returns how long
-- until there is one to take again, or 0.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local whole_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - tonumber(ARGV[4]))
whole_at = math.min(whole_at + interval * tonumber(ARGV[3]), now + tonumber(ARGV[5]))
if whole_at > now then
  local left = math.ceil((whole_at - now) / 1000)
  redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', left)
end
return math.max(0, whole_at + interval - interval * burst - now)
