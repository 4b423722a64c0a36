-- Shared by the scripts of presence.
--
-- A user's hash says where the user is: n:<node> = "<connections> <expires at> <version>", with "0 "
-- before the version when nobody is in front of any of the connections; when the user last did
-- something: a; when nobody was in front of any connection of all nodes: z; and what was last
-- announced: s. The sorted set of those who are due
-- says when something about a user may change by itself. All times are this server's, in
-- milliseconds.
local expire, grace, idle = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Hashes outlive what they say by this, so that whoever looks late still finds them.
local margin = 60000
-- That someone is gone is known for so long: if a node that was cut off has them after all, that is
-- news; if Redis knows nothing because it is empty, it is not.
local gone = 3600000

-- Finds out what is true of a user and notes when to look again. Returns the status if it is not
-- what was last announced, what that was, and whether the user is on any node. `later` leaves it to
-- a sweep to find that the user is gone.
local function settle(key, due, user, later)
  local fields = redis.call('HGETALL', key)
  local present, awake, latest, active, slept, said = false, false, 0, 0, 0, nil
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'a' then
      active = tonumber(value)
    elseif name == 'z' then
      slept = tonumber(value)
    elseif name == 's' then
      said = value
    else
      local connections, expires = string.match(value, '^(%d+) (%d+)')
      expires = tonumber(expires)
      if tonumber(connections) > 0 and expires > now then
        present = true
        if not string.find(value, '^%d+ %d+ 0 ') then awake = true end
      end
      if expires > latest then latest = expires end
      if expires < now - expire - margin then redis.call('HDEL', key, name) end
    end
  end
  local look = latest + grace
  if not present and look <= now and later then
    redis.call('ZADD', due, now, user)
    redis.call('PEXPIRE', key, margin)
    return nil, said, false
  end
  if not present and look <= now then
    redis.call('DEL', key)
    redis.call('HSET', key, 's', 'offline')
    redis.call('PEXPIRE', key, gone)
    redis.call('ZREM', due, user)
    -- Redis that knew nothing of the user has lost it together with all that was announced.
    return said and said ~= 'offline' and 'offline' or nil, said, false
  end
  local status = said
  if present then
    if not awake and slept < active then
      -- It ends when the user does something, and not by another connection.
      slept = math.max(now, active)
      redis.call('HSET', key, 'z', string.format('%.0f', slept))
    end
    status = 'idle'
    if now - active < idle and active > slept then
      status = 'online'
      look = math.min(look, active + idle)
    end
  elseif not said then
    -- Redis lost what it knew while the user was there: that they leave is news.
    status = 'online'
  end
  redis.call('HSET', key, 's', status)
  redis.call('ZADD', due, look, user)
  redis.call('PEXPIRE', key, latest - now + grace + margin)
  if status == said then status = nil end
  return status, said, present
end
