-- Gives back what an attempt to log in was charged.
--
-- KEYS: as for the charge. ARGV: the interval of each budget, then for how long the address is
-- remembered as the user's, in milliseconds, or 0.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for n = 1, 3 do
  local left = tonumber(redis.call('GET', KEYS[n]) or '0') - now - tonumber(ARGV[n])
  if left > 0 then
    redis.call('SET', KEYS[n], string.format('%.0f', now + left), 'PX', math.ceil(left / 1000))
  else
    redis.call('DEL', KEYS[n])
  end
end
if tonumber(ARGV[4]) > 0 then redis.call('SET', KEYS[4], '1', 'PX', ARGV[4]) end
return 0
