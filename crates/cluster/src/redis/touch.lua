-- Notes how many connections users have on one node, and announces what that changes.
--
-- KEYS: those who are due, then a hash for each user. ARGV: expire, grace, idle, node, "1" to keep
-- quiet about users that Redis did not know; then for each user: id, connections, version, how long
-- ago they did something (-1: nothing, -2: they only came, which counts for those who were not
-- there; without a connection: how long ago they left), and "1" when nobody is in front of any of
-- the connections. Returns for each user the new status or an empty text, after a "+" when the user
-- is on any node.
local node, quiet = 'n:' .. ARGV[4], ARGV[5] == '1'
local changed = {}
for i = 2, #KEYS do
  local at = 6 + (i - 2) * 5
  local user, connections, version = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local key, age = KEYS[i], tonumber(ARGV[at + 3])
  local before = redis.call('HGET', key, node)
  local seen = before and tonumber(string.match(before, '(%d+)$')) or -1
  -- What was sent later may have come earlier.
  if version >= seen then
    local expires = now + expire
    if connections == 0 then expires = now - age end
    local mark = ARGV[at + 4] == '1' and '0 ' or ''
    redis.call('HSET', key, node, string.format('%d %.0f %s%.0f', connections, expires, mark, version))
  end
  if age == -2 then
    redis.call('HSETNX', key, 'a', string.format('%.0f', now))
  elseif age >= 0 and connections > 0 then
    local active = tonumber(redis.call('HGET', key, 'a') or '0')
    redis.call('HSET', key, 'a', string.format('%.0f', math.max(active, now - age)))
    if age == 0 and ARGV[at + 4] ~= '1' then redis.call('HDEL', key, 'z') end
  end
  local status, said, present = settle(key, KEYS[1], user, quiet)
  if quiet and not said then status = nil end
  changed[i - 1] = (present and '+' or '') .. (status or '')
end
return changed
