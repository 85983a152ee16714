-- Experiments (after functions.lua). Counts are kept in a hash for each experiment, fields "<variant> <what> ...".

-- keys: counts, bitmap of users. args: seconds to keep them, then of each list: variant, day, bucket, place, 1 for a
-- fallback, power of two of its milliseconds.
local function experiment_shown(keys, args)
  local counts, users = keys[1], keys[2]
  for at = 2, #args, 6 do
    local variant = args[at]
    redis.call('HINCRBY', counts, variant .. ' lists ' .. args[at + 1] .. ' ' .. args[at + 2], 1)
    redis.call('HINCRBY', counts, variant .. ' latency ' .. args[at + 5], 1)
    if args[at + 4] == '1' then redis.call('HINCRBY', counts, variant .. ' fallbacks', 1) end
    if redis.call('SETBIT', users, args[at + 3], 1) == 0 then redis.call('HINCRBY', counts, variant .. ' users', 1) end
  end
  redis.call('EXPIRE', counts, args[1])
  redis.call('EXPIRE', users, args[1])
  return 1
end

-- keys: counts. args: beginning of the keys of what was shown, experiment, then of each event: request, what it counts
-- for, day. A request counts once for each.
local function experiment_credited(keys, args)
  local counted = 0
  for at = 3, #args, 3 do
    local shown = args[1] .. 'r:' .. args[at]
    local packed = redis.call('GET', shown)
    local list = packed and cjson.decode(packed)
    if list and list.experiment == args[2] then
      local once = args[1] .. 'x:' .. args[at] .. ':' .. args[at + 1]
      if redis.call('SET', once, '1', 'NX', 'PX', math.max(1, redis.call('PTTL', shown))) then
        local field = list.variant .. ' ' .. args[at + 1] .. ' ' .. args[at + 2] .. ' ' .. list.bucket
        redis.call('HINCRBY', keys[1], field, 1)
        counted = counted + 1
      end
    end
  end
  return counted
end

register('experiment_shown', experiment_shown, {'no-cluster'})
register('experiment_credited', experiment_credited, {'no-cluster'})
