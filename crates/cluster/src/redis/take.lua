-- Takes one from a budget: generic cell rate algorithm, in microseconds of this server's clock.
--
-- KEYS: the budget, which holds when it is whole again. ARGV: interval, burst. Returns 0, or how
-- long until there is one to take.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local whole_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + interval
local early = whole_at - interval * burst - now
if early > 0 then return early end
local left = math.ceil((whole_at - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', left)
return 0
