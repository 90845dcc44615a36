-- One change of the budgets on a Redis or Valkey server; see redis_store.py.
--
-- KEYS[1]  the hash: version, generation, salt, made, and each budget as "VERSION:bytes"
-- KEYS[2]  the sorted set of leases: each holder by when its lease ends
-- ARGV[1]  the operation; its arguments follow
--
-- Every reply begins with the server's time in seconds and microseconds. Other times are in
-- milliseconds since 1970.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function reply(...)
  return {time[1], time[2], ...}
end

-- Lua would write large numbers with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

local function is_lost(generation)
  return redis.call('HGET', KEYS[1], 'generation') ~= generation
end

local function renew(holder, lease)
  -- After the clock was set back, other leases would end too late.
  local longest = whole(now + lease)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. longest, '+inf')) do
    redis.call('ZADD', KEYS[2], longest, other)
  end
  redis.call('ZADD', KEYS[2], longest, holder)
end

local function holds(holder)
  local ends = redis.call('ZSCORE', KEYS[2], holder)
  return ends and tonumber(ends) > now
end

local function running()
  return redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(now), '+inf', 'LIMIT', 0, 10000)
end

local operations = {}

function operations.open(version, generation, salt, holder, lease)
  if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'version', version, 'generation', generation, 'salt', salt,
               'made', whole(now))
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  renew(holder, lease)
  local found = redis.call('HMGET', KEYS[1], 'version', 'generation', 'salt', 'made')
  local made = tonumber(found[4])
  if not made or made > now then
    made = now
    redis.call('HSET', KEYS[1], 'made', whole(made))
  end
  return reply(found[1], found[2], found[3], now - made)
end

function operations.load(generation, name)
  if is_lost(generation) then return reply('lost') end
  return reply('found', redis.call('HGET', KEYS[1], name), running())
end

function operations.swap(generation, name, version, row, holder, lease)
  if is_lost(generation) then return reply('lost') end
  if not holds(holder) then return reply('expired') end
  renew(holder, lease)
  local found = redis.call('HGET', KEYS[1], name) or ''
  local current = string.match(found, '^%d+') or '0'
  if current ~= version then return reply('changed') end
  redis.call('HSET', KEYS[1], name, whole(current + 1) .. ':' .. row)
  return reply('written')
end

function operations.renew(generation, holder, lease)
  if is_lost(generation) then return reply('lost') end
  if not holds(holder) then return reply('expired') end
  renew(holder, lease)
  return reply('renewed', running())
end

function operations.rejoin(before, holder, lease)
  redis.call('ZREM', KEYS[2], before)
  renew(holder, lease)
  return reply('renewed')
end

function operations.forget(generation, new)
  if not is_lost(generation) then
    redis.call('HSET', KEYS[1], 'generation', new, 'made', whole(now))
  end
  return reply('forgotten')
end

return operations[ARGV[1]](unpack(ARGV, 2))
