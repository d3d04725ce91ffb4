"""What Redis runs atomically: Lua over the keys of one partition.

Here live the scripts of a batch, of a backup and of a restore. Never here: Python that decides. All keys a script
touches are given as KEYS and carry the partition's hash tag, so that Redis Cluster can route it. Lists are cut
in chunks, because Lua cannot unpack more than some 8,000 values.
"""

LOAD = """
-- KEYS: offset, state, rules, timers, names, subjects...
-- ARGV: with state, timers until, after due, after key, timer limit, sweep after, sweep limit
local function before_or_same(a, b)  -- in byte order; Lua's own `<` follows the server's locale
  local n = math.min(#a, #b)
  for i = 1, n do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a <= #b
end

local function rank_after(due, key)  -- of the first timer beyond (due, key)
  local low = redis.call('ZCOUNT', KEYS[4], '-inf', '(' .. due)
  local high = redis.call('ZCOUNT', KEYS[4], '-inf', due)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before_or_same(redis.call('ZRANGE', KEYS[4], middle, middle)[1], key) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function timers()
  if ARGV[2] == '' then return {} end
  local first = 0
  if ARGV[3] ~= '' then first = rank_after(ARGV[3], ARGV[4]) end
  local last = math.min(first + tonumber(ARGV[5]), redis.call('ZCOUNT', KEYS[4], '-inf', ARGV[2]) - 1)
  if last < first then return {} end
  return redis.call('ZRANGE', KEYS[4], first, last, 'WITHSCORES')
end

local function swept()
  local left, found = tonumber(ARGV[7]), {}
  for _, kind in ipairs({{'a:', 'a;'}, {'u:', 'u;'}}) do
    if left > 0 and not before_or_same(kind[2], ARGV[6]) then
      local from = before_or_same(kind[1], ARGV[6]) and '(' .. ARGV[6] or '[' .. kind[1]
      for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[5], from, '(' .. kind[2], 'LIMIT', 0, left)) do
        found[#found + 1] = key
        left = left - 1
      end
    end
  end
  return found
end

local state, rules = false, false
if ARGV[1] == '1' then state, rules = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) end
local subjects = {}
for first = 6, #KEYS, 1000 do
  local values = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
  for i = 1, #values do subjects[first - 6 + i] = values[i] end
end
return {redis.call('GET', KEYS[1]), state, rules, timers(), swept(), subjects}
"""

COMMIT = """
-- KEYS: offset, state, rules, timers, names, subjects to set..., subjects to forget...
-- ARGV: expected offset, next offset, state, whether rules changed, rules, number of: subjects to set, names to
--       add, subjects to forget, timers to set, to drop; then the values, (0, name) pairs, the names forgotten,
--       (due, name) pairs, names
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then return redis.error_reply('FENCED ' .. stored) end

local sets, named, forgets = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local timed, untimed = tonumber(ARGV[9]), tonumber(ARGV[10])
local at = 10

local function in_chunks(count, command, key)
  for first = at + 1, at + count, 1000 do
    redis.call(command, key, unpack(ARGV, first, math.min(first + 999, at + count)))
  end
  at = at + count
end

for first = 1, sets, 1000 do
  local pairs_ = {}
  for i = first, math.min(first + 999, sets) do
    pairs_[#pairs_ + 1] = KEYS[5 + i]
    pairs_[#pairs_ + 1] = ARGV[at + i]
  end
  redis.call('MSET', unpack(pairs_))
end
at = at + sets
for first = 6 + sets, 5 + sets + forgets, 1000 do
  redis.call('UNLINK', unpack(KEYS, first, math.min(first + 999, 5 + sets + forgets)))
end
in_chunks(2 * named, 'ZADD', KEYS[5])
in_chunks(forgets, 'ZREM', KEYS[5])
in_chunks(2 * timed, 'ZADD', KEYS[4])
in_chunks(untimed, 'ZREM', KEYS[4])
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[4] == '1' then redis.call('SET', KEYS[3], ARGV[5]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

RESTORE = """
-- KEYS: offset, state, rules, timers, names, subjects...
-- ARGV: the mark, what: 'clear' | 'state' | 'subjects' | 'timers', then its values
local mark = redis.call('GET', KEYS[1]) or ''
if mark ~= ARGV[1] then return redis.error_reply('FENCED ' .. mark) end
if ARGV[2] == 'clear' then
  if #KEYS > 5 then
    redis.call('UNLINK', unpack(KEYS, 6))
    redis.call('ZREM', KEYS[5], unpack(ARGV, 3))
  end
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
elseif ARGV[2] == 'state' then
  if ARGV[3] == '1' then redis.call('SET', KEYS[2], ARGV[4]) end
  if ARGV[5] == '1' then redis.call('SET', KEYS[3], ARGV[6]) end
elseif ARGV[2] == 'subjects' then
  for i = 6, #KEYS do
    redis.call('SET', KEYS[i], ARGV[2 * (i - 6) + 4])
    redis.call('ZADD', KEYS[5], 0, ARGV[2 * (i - 6) + 3])
  end
else
  redis.call('ZADD', KEYS[4], unpack(ARGV, 3))
end
return 1
"""

SNAPSHOT = """
-- KEYS: offset, state, rules, timers, names. ARGV: what the subjects' keys begin with (the same slot)
local names = redis.call('ZRANGE', KEYS[5], 0, -1)
local states = {}
for i, name in ipairs(names) do states[i] = redis.call('GET', ARGV[1] .. name) end
return {redis.call('MGET', KEYS[1], KEYS[2], KEYS[3]), names, states,
  redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')}
"""

MOVE_OFFSET = """
-- KEYS: offset. ARGV: expected, new ('': none)
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then return redis.error_reply('FENCED ' .. stored) end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""
