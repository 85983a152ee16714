
-- Impressions (after functions.lua). keys of both: ring, the ids of what was shown, oldest first.

-- args: prefix of impressions, prefix of outcomes, milliseconds to keep, how many at most, id, packed, id, packed, ...
local function impressions_put(keys, args)
  for at = 5, #args, 2 do
    if not redis.call('SET', args[1] .. args[at], args[at + 1], 'PX', args[3], 'GET') then
      redis.call('RPUSH', keys[1], args[at])
    end
  end
  for _ = 1, redis.call('LLEN', keys[1]) - tonumber(args[4]) do
    local id = redis.call('LPOP', keys[1])
    redis.call('DEL', args[1] .. id, args[2] .. id)
  end
  redis.call('PEXPIRE', keys[1], args[3])
  return 1
end

local MOST_OUTCOMES = 1000 -- different ones of one request

-- args: prefix of impressions, prefix of outcomes, id, outcome, id, outcome, ... Returns how many counted.
local function impressions_credit(keys, args)
  local counted = 0
  for at = 3, #args, 2 do
    local left = redis.call('PTTL', args[1] .. args[at])
    local key = args[2] .. args[at]
    if left > 0 and redis.call('HLEN', key) < MOST_OUTCOMES then
      redis.call('HINCRBY', key, args[at + 1], 1)
      redis.call('PEXPIRE', key, left)
      counted = counted + 1
    end
  end
  return counted
end

register('impressions_put', impressions_put, {'no-cluster'})
register('impressions_credit', impressions_credit, {'no-cluster'})
