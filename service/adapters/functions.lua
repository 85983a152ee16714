#!lua name=peregrine_@VERSION@

-- The server-side functions of Peregrine: everything that happens at once or not at all. Each checks before its first
-- write. Keys that a function makes from its arguments (states, digests) are not declared, so Redis Cluster is refused.
--
-- Times may lie beyond 2^53, where Lua's numbers lose digits: they pass as text or bytes and are never turned into
-- numbers. Offsets and epochs stay below 2^53.

local CHUNK = 1000 -- arguments at once: unpack has a limit

-- Calls `command key values[first] ... values[last]`, in as many calls as it takes.
local function each_chunk(command, key, values, first, last)
  for at = first, last, CHUNK do
    redis.call(command, key, unpack(values, at, math.min(at + CHUNK - 1, last)))
  end
end

local function server_milliseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Log

-- Digests leave the memory in the order they came: the oldest go once there are more than `cap`, and once their key
-- has expired. At most `steps` go at a time.
local function forget(recent, dedupe, cap, steps)
  for _ = 1, steps do
    local oldest = redis.call('LINDEX', recent, 0)
    if not oldest then return end
    local offset, digest = string.match(oldest, '^(%d+):(.*)$')
    local held = redis.call('GET', dedupe .. digest) == offset
    if held and redis.call('LLEN', recent) <= cap then return end
    redis.call('LPOP', recent)
    if held then redis.call('DEL', dedupe .. digest) end
  end
end

local NO_DIGEST = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local NO_TIME = '\0\0\0\0\0\0\0\128'

-- What waits to be applied, and which store is nearly full, as the worker reports it; an error if that is too much.
local function overload(meta, limit)
  local found = redis.call('HMGET', meta, 'offset', 'applied', 'pressure')
  local lag = math.max(0, tonumber(found[1] or '0') - tonumber(found[2] or '0'))
  local pressure = found[3] or ''
  if pressure == '' and lag <= tonumber(limit) then return end
  return {err = string.format('BACKPRESSURE %d %s %s', lag, limit, pressure)}
end

-- keys: stream, meta, recent. args: prefix of digest keys, window in seconds, cap of digests, most records that may wait
-- to be applied; then of n records, side by side: digests (16 bytes each, or NO_DIGEST), timestamps (8 bytes each, or
-- NO_TIME), lengths of payloads (4 bytes each), payloads. Integers are little-endian. Returns per record its offset,
-- below 0 for a duplicate: minus the first one's.
local function append(keys, args)
  local stream, meta, recent = keys[1], keys[2], keys[3]
  local dedupe, window, cap = args[1], args[2], tonumber(args[3])
  local digests, times, lengths, payloads = args[5], args[6], args[7], args[8]
  local overloaded = overload(meta, args[4])
  if overloaded then return overloaded end
  redis.call('LLEN', recent) -- these two fail here, not half way, if the keys hold something else
  redis.call('XLEN', stream)
  local offset = tonumber(redis.call('HGET', meta, 'offset') or '0')
  local given = tonumber(redis.call('HGET', meta, 'time') or '0')
  local seconds = math.max(given, math.floor(server_milliseconds() / 1000))
  local now, gave = struct.pack('<i8', seconds), false
  local answer, fresh, kept_times, kept_lengths, kept_payloads = {}, {}, {}, {}, {}
  local from = 1
  for n = 0, #times / 8 - 1 do
    local digest = string.sub(digests, 16 * n + 1, 16 * n + 16)
    local to = from + struct.unpack('<I4', lengths, 4 * n + 1) - 1
    local first = digest ~= NO_DIGEST and redis.call('GET', dedupe .. digest)
    if first then
      table.insert(answer, -tonumber(first))
    else
      offset = offset + 1
      local time = string.sub(times, 8 * n + 1, 8 * n + 8)
      if time == NO_TIME then
        time, gave = now, true
      end
      table.insert(kept_times, time)
      table.insert(kept_lengths, string.sub(lengths, 4 * n + 1, 4 * n + 4))
      table.insert(kept_payloads, string.sub(payloads, from, to))
      if digest ~= NO_DIGEST then
        local id = string.format('%d', offset)
        redis.call('SET', dedupe .. digest, id, 'EX', window)
        table.insert(fresh, id .. ':' .. digest)
      end
      table.insert(answer, offset)
    end
    from = to + 1
  end
  if #kept_times > 0 then
    redis.call('XADD', stream, string.format('%d-0', offset), 't', table.concat(kept_times),
      'l', table.concat(kept_lengths), 'p', table.concat(kept_payloads))
    redis.call('HSET', meta, 'offset', string.format('%d', offset))
  end
  if gave then redis.call('HSET', meta, 'time', string.format('%d', seconds)) end
  each_chunk('RPUSH', recent, fresh, 1, #fresh)
  forget(recent, dedupe, cap, 2 * #fresh)
  return answer
end

-- keys: meta. args: offset up to which all is applied, which store is nearly full or ''. Writes only what is not so yet:
-- in an idle service nothing is flushed.
local function report(keys, args)
  local found = redis.call('HMGET', keys[1], 'applied', 'pressure')
  if found[1] ~= args[1] or (found[2] or '') ~= args[2] then
    redis.call('HSET', keys[1], 'applied', args[1], 'pressure', args[2])
  end
  return 1
end

-- State

-- A generation is written while it is live, or the active one, or is made while the one before it is.
local function inactive(active, live, least, generation)
  if redis.call('HEXISTS', live, generation) == 1 then return end
  local current = redis.call('GET', active) or '1'
  if tonumber(current) < tonumber(least) or tonumber(current) > tonumber(generation) then
    return {err = 'FENCED generation ' .. current .. ' of the state is active; this writer has generation ' .. generation}
  end
end

-- A lease that a clock set back has made long must not outlive its holder by hours. One who lives renews it in time.
local function shorten(lease, longest)
  if redis.call('PTTL', lease) > longest then redis.call('PEXPIRE', lease, longest) end
end

-- keys: lease, meta; of a generation also active, live. args: owner, milliseconds; of a generation also the least active
-- one and its own number. Returns the new epoch.
-- The clock keeps epochs apart even when the server lost the last second of its memory, and an epoch with it.
local function acquire(keys, args)
  local refusal = keys[3] and inactive(keys[3], keys[4], args[3], args[4])
  if refusal then return refusal end
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= args[1] then
    shorten(keys[1], 3 * tonumber(args[2]))
    return {err = 'LEASEHELD ' .. holder}
  end
  local last = tonumber(redis.call('HGET', keys[2], 'epoch') or '0')
  local epoch = math.max(last + 1, server_milliseconds())
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  redis.call('HSET', keys[2], 'epoch', string.format('%d', epoch))
  return epoch
end

-- keys: lease; of a generation also active, live. args: as above. A lease that ran out and that nobody took is taken again.
local function renew(keys, args)
  local refusal = keys[2] and inactive(keys[2], keys[3], args[3], args[4])
  if refusal then return refusal end
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= args[1] then return {err = 'FENCED ' .. holder .. ' holds the lease by now'} end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  return 1
end

-- keys: lease. args: owner.
local function release(keys, args)
  if redis.call('GET', keys[1]) == args[1] then redis.call('DEL', keys[1]) end
  return 1
end

local function fenced(meta, epoch)
  local current = redis.call('HGET', meta, 'epoch') or '0'
  if current ~= epoch then
    return {err = 'FENCED epoch ' .. current .. ' writes by now, this writer has epoch ' .. epoch}
  end
end

-- Each entry names the one before it, so a reader sees every kind of loss: trimmed, reset, restored, another server.
local function publish(meta, feed, length, previous, entry)
  local id = redis.call('XADD', feed, 'MAXLEN', '~', length, '*', 'previous', previous, 'entry', entry)
  redis.call('HSET', meta, 'feed', id)
end

-- args[from]...: offset, log_time, tick, item_count, log_id, bundle.
local function move(meta, offset, args, from)
  redis.call('HSET', meta, 'offset', args[from], 'log_time', args[from + 1], 'tick', args[from + 2],
    'item_count', args[from + 3], 'log_id', args[from + 4], 'bundle', args[from + 5])
  redis.call('SET', offset, args[from])
end

-- keys: active, retired; meta and offset of the new generation; meta, offset and feed of the old one; live. args: epoch,
-- numbers of the new and the old generation, feed's length. Returns 1, or 0 while the new one is behind. The old one's
-- writer is fenced by an epoch that nobody gets, and the last entry of its feed sends the readers to the new one.
local function activate(keys, args)
  local refusal = fenced(keys[3], args[1])
  if refusal then return refusal end
  local active = redis.call('GET', keys[1]) or '1'
  if active == args[2] then return 1 end -- the reply to the first call was lost
  if active ~= args[3] then return {err = 'FENCED generation ' .. active .. ' of the state is active by now'} end
  local offset, reached = redis.call('GET', keys[4]) or '0', redis.call('GET', keys[6]) or '0'
  if tonumber(offset) < tonumber(reached) then return 0 end
  redis.call('SET', keys[1], args[2])
  local record = redis.call('HGET', keys[8], args[3])
  if record then
    redis.call('HDEL', keys[8], args[3])
    local same = cjson.decode(record).bundle == redis.call('HGET', keys[3], 'bundle')
    if same then redis.call('HSET', keys[8], args[2], record) end -- else the record knows nothing of its weights
  end
  redis.call('HSET', keys[2], args[3], string.format('%d', server_milliseconds()))
  redis.call('HINCRBY', keys[5], 'epoch', 1)
  publish(keys[5], keys[7], args[4], 'switched', '')
  return 1
end

-- A reset is: clear, drop until nothing is left, restart. In between the bundle reads 'resetting', which is no bundle's
-- name, so that a writer that finds a broken-off reset begins it again. Both ends tell the feed's readers to reload.

-- keys: meta, offset, ids, feed, pending. args: epoch, feed's length, name of the bundle meanwhile.
local function clear(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  redis.call('HDEL', keys[1], 'offset', 'log_time', 'tick', 'item_count', 'log_id', 'late')
  redis.call('HSET', keys[1], 'bundle', args[3])
  redis.call('SET', keys[2], '0')
  redis.call('UNLINK', keys[3], keys[5])
  redis.call('XTRIM', keys[4], 'MAXLEN', 0) -- keeps the last id, so ids go on growing
  publish(keys[1], keys[4], args[2], 'reset', '')
  return 1
end

-- keys: meta. args: epoch, keys of states.
local function drop(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  for at = 2, #args, CHUNK do
    redis.call('UNLINK', unpack(args, at, math.min(at + CHUNK - 1, #args)))
  end
  return 1
end

-- keys: meta, offset, feed. args: epoch, feed's length, the six of the position.
local function restart(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  move(keys[1], keys[2], args, 3)
  publish(keys[1], keys[3], args[2], 'reset', '')
  return 1
end

-- Keeper

-- keys: stream, meta. args: epoch, offset of the last record that may go. An entry goes when its last record may.
local function trim(keys, args)
  local refusal = fenced(keys[2], args[1])
  if refusal then return refusal end
  local offset = redis.call('HGET', keys[2], 'offset') or '0'
  if tonumber(args[2]) > tonumber(offset) then
    return {err = 'FENCED the log ends at offset ' .. offset .. ', ' .. args[2] .. ' is not there to be trimmed'}
  end
  return redis.call('XTRIM', keys[1], 'MINID', string.format('%d-0', tonumber(args[2]) + 1))
end

-- Erasure

-- keys: those of append, then ids of pending erasures, the erasure's own. args: its id, then those of append.
local function erase(keys, args)
  local own, pending, id = table.remove(keys), table.remove(keys), table.remove(args, 1)
  local answer = append(keys, args)
  if answer.err then return answer end
  redis.call('SET', own, string.format('%d %d', answer[1], math.floor(server_milliseconds() / 1000)))
  redis.call('SADD', pending, id)
  return answer
end

-- keys: meta, ids of pending erasures, then each erasure's own. args: epoch, seconds to remember them, their ids.
local function complete(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  local now = math.floor(server_milliseconds() / 1000)
  for n = 3, #keys do
    local known = redis.call('SREM', keys[2], args[n]) == 1 and redis.call('GET', keys[n])
    if known then redis.call('SET', keys[n], string.format('%s %d', known, now), 'EX', args[2]) end
  end
  return 1
end

-- The place in `recent`, whose offsets ascend, of the first entry that is not below `offset`.
local function place_of(recent, offset)
  local low, high = 0, redis.call('LLEN', recent)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(string.match(redis.call('LINDEX', recent, middle), '^%d+')) < offset then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- keys: meta, recent. args: epoch, prefix of digest keys; offset, digest, offset, digest, ... An entry of `recent` stays
-- without its digest until it is the oldest one.
local function forget_some(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  local recent, dedupe = keys[2], args[2]
  for at = 3, #args, 2 do
    local offset, digest = args[at], args[at + 1]
    if redis.call('GET', dedupe .. digest) == offset then
      redis.call('DEL', dedupe .. digest)
    end
    local place = place_of(recent, tonumber(offset))
    if redis.call('LINDEX', recent, place) == offset .. ':' .. digest then
      redis.call('LSET', recent, place, offset .. ':')
    end
  end
  return 1
end

local function last_offset(stream)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return newest and tonumber(string.match(newest[1], '^%d+')) or 0
end

local function not_expected(copy, expected)
  local found = last_offset(copy)
  if found ~= tonumber(expected) then
    return {err = 'ERR the copy of the log ends at offset ' .. found .. ', not at ' .. expected .. ': begin again'}
  end
end

-- keys: meta, copy. args: epoch, offset of the newest record copied (0 begins a copy); offset, timestamps, lengths,
-- payloads, offset, ... of entries that follow.
local function copy(keys, args)
  local refusal = fenced(keys[1], args[1])
  if refusal then return refusal end
  if args[2] == '0' then redis.call('UNLINK', keys[2]) end
  refusal = not_expected(keys[2], args[2])
  if refusal then return refusal end
  for at = 3, #args, 4 do
    redis.call('XADD', keys[2], args[at] .. '-0', 't', args[at + 1], 'l', args[at + 2], 'p', args[at + 3])
  end
  return 1
end

-- keys: meta, stream, copy, room for a name. args: epoch, offset of the newest record copied, highest marker of the erasures. Copies what
-- has come since, and puts the copy in the log's place.
local function swap(keys, args)
  local meta, stream, fresh = keys[1], keys[2], keys[3]
  local refusal = fenced(meta, args[1]) or not_expected(fresh, args[2])
  if refusal then return refusal end
  local rest = redis.call('XRANGE', stream, '(' .. args[2] .. '-0', '+')
  if rest[1] and tonumber(string.match(rest[1][1], '^%d+')) - #rest[1][2][2] / 8 ~= tonumber(args[2]) then
    return {err = 'ERR the copy of the log ends inside an entry: begin again'}
  end
  for _, entry in ipairs(rest) do
    redis.call('XADD', fresh, entry[1], unpack(entry[2]))
  end
  if redis.call('EXISTS', stream) == 1 then redis.call('RENAME', stream, keys[4]) end
  if redis.call('EXISTS', fresh) == 1 then redis.call('RENAME', fresh, stream) end
  redis.call('UNLINK', keys[4])
  local erased = math.max(tonumber(args[3]), tonumber(redis.call('HGET', meta, 'erased') or '0'))
  redis.call('HSET', meta, 'erased', string.format('%d', erased))
  return 1
end

local function register(name, callback, flags)
  redis.register_function{function_name = 'peregrine_@VERSION@_' .. name, callback = callback, flags = flags}
end

register('append', append, {'no-cluster'})
register('report', report, {'no-cluster', 'allow-oom'})
register('acquire', acquire, {'no-cluster', 'allow-oom'})
register('renew', renew, {'no-cluster', 'allow-oom'})
register('release', release, {'no-cluster', 'allow-oom'})
register('activate', activate, {'no-cluster', 'allow-oom'})
register('clear', clear, {'no-cluster', 'allow-oom'})
register('drop', drop, {'no-cluster', 'allow-oom'})
register('trim', trim, {'no-cluster', 'allow-oom'})
register('erase', erase, {'no-cluster'})
register('complete', complete, {'no-cluster', 'allow-oom'})
register('forget', forget_some, {'no-cluster', 'allow-oom'})
register('copy', copy, {'no-cluster'})
register('swap', swap, {'no-cluster', 'allow-oom'})
register('restart', restart, {'no-cluster', 'allow-oom'})
