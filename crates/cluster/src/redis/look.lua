-- Returns what is known of a user: the status, the connections, when they last did something.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = redis.call('HGETALL', KEYS[1])
local connections, active, said = 0, 0, ''
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'a' then
    active = tonumber(value)
  elseif name == 's' then
    said = value
  elseif name == 'z' then
    -- Nothing to tell.
  else
    local count, expires = string.match(value, '^(%d+) (%d+)')
    if tonumber(expires) > now then connections = connections + tonumber(count) end
  end
end
return { said, connections, active }
