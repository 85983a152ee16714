-- Live models (after functions.lua): each writes a generation of its own.

-- keys: active, live, retired. args: beginning of the generations' keys, bundle's hash, its record, record of the active
-- one for its first time. Returns the number of the new generation, above all that there are.
local function live_begin(keys, args)
  local active = redis.call('GET', keys[1]) or '1'
  local number = tonumber(active)
  for at = 2, 3 do
    for _, other in ipairs(redis.call('HKEYS', keys[at])) do number = math.max(number, tonumber(other)) end
  end
  for _, record in ipairs(redis.call('HVALS', keys[2])) do
    if cjson.decode(record).bundle == args[2] then return {err = 'FENCED this bundle is live already'} end
  end
  number = string.format('%d', number + 1)
  local holder = redis.call('GET', args[1] .. number .. ':lease')
  if holder then return {err = 'LEASEHELD ' .. holder} end
  redis.call('HSETNX', keys[2], active, args[4])
  redis.call('HSET', keys[2], number, args[3])
  return tonumber(number)
end

-- keys: live. args: number, record. Only of a model that is still live.
local function live_note(keys, args)
  if redis.call('HEXISTS', keys[1], args[1]) == 0 then
    return {err = 'FENCED generation ' .. args[1] .. ' is not live any more'}
  end
  redis.call('HSET', keys[1], args[1], args[2])
  return 1
end

-- keys: active, live, before, offset of the new one, offset of the one that is active. args: number, number of the one
-- that is active. Returns 1, or 0 while the new one is behind. Both go on being written.
local function live_switch(keys, args)
  local active = redis.call('GET', keys[1]) or '1'
  if active == args[1] then return 1 end
  if active ~= args[2] then return {err = 'FENCED generation ' .. active .. ' is active by now'} end
  if redis.call('HEXISTS', keys[2], args[1]) == 0 then
    return {err = 'FENCED generation ' .. args[1] .. ' is not live any more'}
  end
  local offset, reached = redis.call('GET', keys[4]) or '0', redis.call('GET', keys[5]) or '0'
  if tonumber(offset) < tonumber(reached) then return 0 end
  redis.call('SET', keys[1], args[1])
  redis.call('SET', keys[3], active)
  return 1
end

-- keys: active, live, retired, before, meta and feed of the generation. args: number, feed's length. Its writer is
-- fenced, its feed's readers are told. Returns 0 if it was not live.
local function live_end(keys, args)
  if (redis.call('GET', keys[1]) or '1') == args[1] then
    return {err = 'FENCED generation ' .. args[1] .. ' is active: switch to another one before'}
  end
  if redis.call('HDEL', keys[2], args[1]) == 0 then return 0 end
  if redis.call('GET', keys[4]) == args[1] then redis.call('DEL', keys[4]) end
  redis.call('HSET', keys[3], args[1], string.format('%d', server_milliseconds()))
  redis.call('HINCRBY', keys[5], 'epoch', 1)
  publish(keys[5], keys[6], args[2], 'switched', '')
  return 1
end

register('live_begin', live_begin, {'no-cluster'})
register('live_note', live_note, {'no-cluster', 'allow-oom'})
register('live_switch', live_switch, {'no-cluster', 'allow-oom'})
register('live_end', live_end, {'no-cluster', 'allow-oom'})
