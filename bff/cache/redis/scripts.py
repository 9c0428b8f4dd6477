"""The scripts that run in Redis, each of them one step that nothing comes between.

Times are the server's, in milliseconds. What is needed to tell pods of changes may exceed the server's memory bound.
"""

from dataclasses import dataclass, field
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """A script and how it is called."""

    name: str
    text: str = field(repr=False)
    digest: str = field(init=False, repr=False)  # what the server knows it by

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


_FREE = "#!lua flags=allow-oom\n"  # may write where memory is full
_BOUND = "#!lua\n"
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_OF_TYPE = """
local function of_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then redis.call('DEL', key) end
end
"""
_TELL = (
    _OF_TYPE
    + """
local function tell(pods, channel, message)
  of_type(pods, 'hash')
  local since = redis.call('HGET', pods, 'since')
  if not since then
    since = now
    redis.call('HSET', pods, 'since', since)
  end
  local told = {now, tonumber(since)}
  local all = redis.call('HGETALL', pods)
  for i = 1, #all, 2 do
    local ends, longest = string.match(all[i + 1], '^(%d+):(%d+)$')
    if ends and #ends < 16 and #longest < 10 then
      if tonumber(ends) + 60000 < now then
        redis.call('HDEL', pods, all[i])
      else
        told[#told + 1] = all[i]
        told[#told + 1] = tonumber(ends)
        told[#told + 1] = tonumber(longest)
      end
    end
  end
  if channel ~= '' then redis.call('PUBLISH', channel, message) end
  return told
end
"""
)

# KEYS: value, nonce and lease of each part. ARGV: a new nonce, its ttl, the pod, the ttl of a lease; then for each part
# how old a value and a remembered 404 may be that is asked for. Returns the time, then for each part what was found,
# and, where that is not young enough, the nonce or mark and whether the pod is to load it.
TAKE = Script(
    "take",
    _FREE
    + _NOW
    + """
local got = redis.call('MGET', unpack(KEYS))
local out = {now}
for i = 1, #KEYS, 3 do
  local value, nonce, lease = got[i], got[i + 1], got[i + 2]
  local at = 5 + (i - 1) / 3 * 2
  local young = false
  if value then
    local began = tonumber(string.match(value, '^\\1(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)'))
    if began then
      local age = now - began
      young = age > -1000 and age < tonumber(ARGV[string.sub(value, 41, 41) == '1' and at or at + 1])
    end
  end
  if young then
    out[#out + 1] = {value}
  else
    if not nonce then
      nonce = ARGV[1] .. i
      redis.call('SET', KEYS[i + 1], nonce, 'PX', ARGV[2])
    end
    local lead = 1
    if string.sub(nonce, 1, 1) == 'n' then
      if lease and string.sub(lease, 1, #nonce + 1) == nonce .. ' ' then
        lead = 0
      else
        redis.call('SET', KEYS[i + 2], nonce .. ' ' .. ARGV[3], 'PX', ARGV[4])
      end
    end
    out[#out + 1] = {value or '', nonce, lead}
  end
end
return out
""",
)

# KEYS: value, nonce, lease. ARGV: the nonce under which it was loaded, the value, its ttl, the nonce's. Returns whether
# it was kept.
FILL = Script(
    "fill",
    _BOUND
    + _NOW
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[3])
local found = redis.call('MGET', KEYS[1])[1]
local began = found and string.match(found, '^\\1(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)')
if began and began > string.sub(ARGV[2], 2, 16) and tonumber(began) < now + 1000 then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
""",
)

# KEYS: lease. ARGV: nonce, pod, ttl; a ttl of 0 gives the lease up.
LEASE = Script(
    "lease",
    _FREE
    + """
if redis.call('MGET', KEYS[1])[1] ~= ARGV[1] .. ' ' .. ARGV[2] then return 0 end
if ARGV[3] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
""",
)

# KEYS: pods, due. ARGV: pod, ttl of its lease, its longest call, its channel, the tick, until when the tick is good,
# for how long what is due is left to this pod; then pods that an earlier registry had, for each how long its lease has
# been over, and its longest call. Returns the time, since when there is this registry, what is due, and the registry.
TICK = Script(
    "tick",
    _FREE
    + _NOW
    + _OF_TYPE
    + """
if now > tonumber(ARGV[6]) then return {now, 0, {}, {}} end
of_type(KEYS[1], 'hash')
of_type(KEYS[2], 'zset')
redis.call('HSETNX', KEYS[1], 'since', now)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', now + ARGV[2], ARGV[3]))
for i = 8, #ARGV, 3 do
  redis.call('HSETNX', KEYS[1], ARGV[i], string.format('%.0f:%.0f', now - ARGV[i + 1], ARGV[i + 2]))
end
redis.call('PEXPIRE', KEYS[1], 600000)
redis.call('PUBLISH', ARGV[4], ARGV[5])
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 20)
for _, member in ipairs(due) do redis.call('ZADD', KEYS[2], now + ARGV[7], member) end
local pods = redis.call('HGETALL', KEYS[1])
return {now, tonumber(redis.call('HGET', KEYS[1], 'since')), due, pods}
""",
)

# KEYS: pods. ARGV: pod.
LEAVE = Script("leave", _FREE + "return redis.call('HDEL', KEYS[1], ARGV[1])\n")

# KEYS: pods, then value, nonce and lease of a part. ARGV: the mark, its ttl, channel, message. Returns who was told.
PUT_MARK = Script(
    "mark",
    _FREE
    + _NOW
    + _TELL
    + """
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return tell(KEYS[1], ARGV[3], ARGV[4])
""",
)

# KEYS: pods, due, then value, nonce and lease of a part. ARGV: the mark, a text for a new one, channel, message, in how
# long it is deleted once more, and how that is noted. Returns whether the mark still stood, and who was told where it
# did not. A mark that is replaced keeps its first 33 characters, by which its writer knows it.
LIFT = Script(
    "lift",
    _FREE
    + _NOW
    + _TELL
    + """
local found = redis.call('MGET', KEYS[4])[1]
of_type(KEYS[2], 'zset')
redis.call('DEL', KEYS[3], KEYS[5])
redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[6])
if found == ARGV[1] then
  redis.call('DEL', KEYS[4])
  return {1, tell(KEYS[1], '', '')}
end
if found and string.sub(found, 1, 1) == 'w' and string.sub(found, 1, 33) ~= ARGV[1] then
  redis.call('SET', KEYS[4], string.sub(found, 1, 33) .. ARGV[2], 'KEEPTTL')
else
  redis.call('DEL', KEYS[4])
end
return {0, tell(KEYS[1], ARGV[3], ARGV[4])}
""",
)

# KEYS: pods, due, then value, nonce and lease of each part. ARGV: a text for the marks of those being written, channel,
# message, in how long it is deleted once more, how that is noted, what was noted before and is done by this. Returns
# who was told.
FORGET = Script(
    "forget",
    _FREE
    + _NOW
    + _TELL
    + """
of_type(KEYS[2], 'zset')
for i = 3, #KEYS, 3 do
  local found = redis.call('MGET', KEYS[i + 1])[1]
  redis.call('DEL', KEYS[i], KEYS[i + 2])
  if found and string.sub(found, 1, 1) == 'w' then
    redis.call('SET', KEYS[i + 1], string.sub(found, 1, 33) .. ARGV[1] .. i, 'KEEPTTL')
  else
    redis.call('DEL', KEYS[i + 1])
  end
end
if ARGV[5] ~= '' then redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[5]) end
if ARGV[6] ~= '' then redis.call('ZREM', KEYS[2], ARGV[6]) end
return tell(KEYS[1], ARGV[2], ARGV[3])
""",
)

SCRIPTS = (TAKE, FILL, LEASE, TICK, LEAVE, PUT_MARK, LIFT, FORGET)
