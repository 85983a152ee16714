
-- Profiles (after functions.lua). keys of all: due, later, claimed, claims, tries, dead. Users are named in arguments.

local RANK = 1e13 -- a score is rank * RANK + milliseconds since when
local PUT_OFF = 3 -- rank of whoever was put off
local AT_ONCE = 1000 -- users whose time has come, or whose lease has ended, that one call takes up

local function take_out(keys, user)
  redis.call('ZREM', keys[3], user)
  redis.call('HDEL', keys[4], user)
end

-- Rank 0, which somebody asked for, ends a claim and a pause; others wait for it.
local function enqueue(keys, user, rank, ready, now)
  if rank == 0 then
    take_out(keys, user)
    redis.call('ZREM', keys[2], user)
    redis.call('HDEL', keys[5], user)
    redis.call('HDEL', keys[6], user)
  elseif redis.call('HEXISTS', keys[4], user) == 1 or redis.call('ZSCORE', keys[2], user) then
    return
  end
  if ready > now then
    if not redis.call('ZSCORE', keys[1], user) then redis.call('ZADD', keys[2], ready, user) end
    return
  end
  local score = redis.call('ZSCORE', keys[1], user)
  if not score or math.floor(tonumber(score) / RANK) > rank then
    redis.call('ZADD', keys[1], string.format('%.0f', rank * RANK + now), user)
  end
end

-- args: user, rank, milliseconds from when on, user, ...
local function profile_add(keys, args)
  local now = server_milliseconds()
  for at = 1, #args, 3 do
    enqueue(keys, args[at], tonumber(args[at + 1]), tonumber(args[at + 2]), now)
  end
  return 1
end

-- keys: also the user's edits. args: user, edits.
local function profile_edit(keys, args)
  redis.call('SET', keys[7], args[2])
  enqueue(keys, args[1], 0, 0, server_milliseconds())
  return 1
end

local function wake(keys, from, now)
  for _, user in ipairs(redis.call('ZRANGEBYSCORE', from, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
    redis.call('ZREM', from, user)
    redis.call('HDEL', keys[4], user)
    redis.call('ZADD', keys[1], 'NX', string.format('%.0f', PUT_OFF * RANK + now), user)
  end
end

-- args: beginning of the claims' tokens, milliseconds of the lease, users at most. Returns user, token, rank, tries, ...
local function profile_claim(keys, args)
  local now = server_milliseconds()
  wake(keys, keys[3], now)
  wake(keys, keys[2], now)
  local found = redis.call('ZPOPMIN', keys[1], args[3])
  local answer = {}
  for at = 1, #found, 2 do
    local user, rank = found[at], math.floor(tonumber(found[at + 1]) / RANK)
    local token = args[1] .. ':' .. at
    redis.call('ZADD', keys[3], now + tonumber(args[2]), user)
    redis.call('HSET', keys[4], user, token)
    table.insert(answer, user)
    table.insert(answer, token)
    table.insert(answer, rank)
    table.insert(answer, redis.call('HINCRBY', keys[5], user, 1))
  end
  return answer
end

-- args: user, token, what became of the claim. keys: for `finished` also the profile.
-- finished: profile. dropped. later: milliseconds, 1 if it was one of the tries. buried: why, most of them.
local function profile_end(keys, args)
  local user = args[1]
  if redis.call('HGET', keys[4], user) ~= args[2] then return 0 end
  take_out(keys, user)
  if args[3] == 'later' then
    redis.call('ZADD', keys[2], server_milliseconds() + tonumber(args[4]), user)
    if args[5] == '0' and redis.call('HINCRBY', keys[5], user, -1) < 1 then redis.call('HDEL', keys[5], user) end
    return 1
  end
  redis.call('HDEL', keys[5], user)
  if args[3] == 'finished' then
    redis.call('SET', keys[7], args[4])
    redis.call('HDEL', keys[6], user)
  elseif args[3] == 'buried' and redis.call('HLEN', keys[6]) < tonumber(args[5]) then
    redis.call('HSET', keys[6], user, args[4])
  end
  return 1
end

-- keys: a user's profile. args: what it must be, what it becomes. Returns 0 if it is another one.
local function profile_replace(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  redis.call('SET', keys[1], args[2])
  return 1
end

-- args: beginning of the keys of profiles, users.
local function profile_forget(keys, args)
  for at = 2, #args do
    local user = args[at]
    redis.call('UNLINK', args[1] .. 'u:' .. user, args[1] .. 'e:' .. user)
    take_out(keys, user)
    redis.call('ZREM', keys[1], user)
    redis.call('ZREM', keys[2], user)
    redis.call('HDEL', keys[5], user)
    redis.call('HDEL', keys[6], user)
  end
  return 1
end

-- keys: tokens of a day. args: tokens, limit, seconds to remember them. Returns 1, or 0 if too few are left.
local function profile_reserve(keys, args)
  local spent = tonumber(redis.call('GET', keys[1]) or '0')
  if spent + tonumber(args[1]) > tonumber(args[2]) then return 0 end
  redis.call('SET', keys[1], string.format('%d', spent + tonumber(args[1])), 'EX', args[3])
  return 1
end

register('profile_add', profile_add, {'no-cluster'})
register('profile_edit', profile_edit, {'no-cluster'})
register('profile_claim', profile_claim, {'no-cluster', 'allow-oom'})
register('profile_end', profile_end, {'no-cluster'})
register('profile_replace', profile_replace, {'no-cluster'})
register('profile_forget', profile_forget, {'no-cluster', 'allow-oom'})
register('profile_reserve', profile_reserve, {'no-cluster', 'allow-oom'})
