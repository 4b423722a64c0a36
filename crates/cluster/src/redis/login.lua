-- Charges an attempt to log in, before its password is looked at.
--
-- KEYS: the budgets of the user from this address, of the address, of the user; whether the user
-- has logged in from this address before. ARGV: interval and burst of each budget. Times in
-- microseconds. Returns 0, or how long until the next attempt makes sense.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function budget(n)
  local left = math.max(0, tonumber(redis.call('GET', KEYS[n]) or '0') - now)
  return { key = KEYS[n], left = left, interval = tonumber(ARGV[n * 2 - 1]), burst = tonumber(ARGV[n * 2]) }
end

local function wait(b, burst)
  return math.max(0, b.left + b.interval - b.interval * burst)
end

local pair, address, user = budget(1), budget(2), budget(3)
local burst = pair.burst
if wait(user, user.burst) > 0 and redis.call('EXISTS', KEYS[4]) == 0 then burst = 1 end
local early = math.max(wait(pair, burst), wait(address, address.burst))
if early > 0 then return early end
for _, b in ipairs({ pair, address, user }) do
  -- Never owes more than the whole budget.
  local left = math.min(b.left + b.interval, b.interval * b.burst)
  redis.call('SET', b.key, string.format('%.0f', now + left), 'PX', math.ceil(left / 1000))
end
return 0
