"""What the server does in one step, in Lua.

The keys are always those of `mobync_redis.keys.keys_of`. Numbers stay text: Lua's are doubles, and `unpack` takes no
more than some thousands of values at a time.
"""

from __future__ import annotations

from hashlib import sha1


class Script:
    """A script, and the name by which a server that has run it once knows it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


# Does nothing, but as a write it is refused by a replica, which may lack what was committed: an owner's clock must
# not be seen to go back. It costs a microsecond.
_ON_A_PRIMARY = "redis.call('PERSIST', KEYS[1])\n"

_VALUES = """
local function values(key, fields, from)
  local found = {}
  for at = from, #fields, 2000 do
    found[#found + 1] = redis.call('HMGET', key, unpack(fields, at, math.min(at + 1999, #fields)))
  end
  return found
end
"""

# All five keys exist as long as their owner does, each with a member that nobody reads. So a server that evicted one
# shows no smaller truth; and a slot that moves, where a script may name no key that is missing, serves its owners.
_WHOLE = """
local there = redis.call('EXISTS', unpack(KEYS))
if there ~= 0 and there ~= #KEYS then
  return redis.error_reply('MOBYNC keys of an owner are gone: the server evicted them, or somebody deleted them')
end
"""

LOAD = Script(
    _ON_A_PRIMARY
    + _VALUES
    + _WHOLE
    + """
local head = redis.call('HMGET', KEYS[1], 'clock', 'epoch', 'purged')
local changed = redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
return {head, changed, values(KEYS[2], changed, 1), values(KEYS[2], ARGV, 3)}
"""
)
"""ARGV: since, limit or -1, fields by name. Gives the head, the fields that changed, their values, values by name."""

NOTES = Script(
    _ON_A_PRIMARY
    + _VALUES
    + """
local found = redis.call('ZRANGEBYLEX', KEYS[5], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
return {found, values(KEYS[4], found, 1)}
"""
)
"""ARGV: first and last, as ZRANGEBYLEX takes them, limit. Gives fields and their values."""

COMMIT = Script(
    _WHOLE
    + """
local parts = {{'head', 'hash'}, {'records', 'hash'}, {'clocks', 'zset'}, {'notes', 'hash'}, {'notekeys', 'zset'}}
for i, part in ipairs(parts) do
  local held = redis.call('TYPE', KEYS[i]).ok
  if held ~= 'none' and held ~= part[2] then
    return redis.error_reply('MOBYNC the ' .. part[1] .. ' of an owner is a ' .. held .. ', no ' .. part[2])
  end
end
local head = redis.call('HMGET', KEYS[1], 'clock', 'epoch')
if (head[1] or '0') ~= ARGV[1] or (head[1] and head[2] ~= ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[3], 'XX', 0, '-')
redis.call('ZREM', KEYS[3], '-')
redis.call('HDEL', KEYS[2], '-')
redis.call('HSET', KEYS[1], 'clock', ARGV[3], 'epoch', ARGV[4], 'purged', ARGV[5])
redis.call('HSET', KEYS[2], '', '')
redis.call('ZADD', KEYS[3], '-inf', '')
redis.call('HSET', KEYS[4], '', '')
redis.call('ZADD', KEYS[5], 0, '')
local at = 6
while at <= #ARGV do
  local command, key, last = ARGV[at], KEYS[tonumber(ARGV[at + 1])], at + 2 + tonumber(ARGV[at + 2])
  at = at + 3
  while at <= last do
    local to = math.min(at + 1999, last)
    redis.call(command, key, unpack(ARGV, at, to))
    at = to + 1
  end
end
return 1
"""
)
"""ARGV: expected clock and epoch, new clock, epoch and purged, then for each write its command, the number of its key,
how many words follow, and these. Gives 1, or 0 if the owner is not as expected.

What a script did before it fails stays done. So all that can fail comes first: the types, the clock, and then each
command that writes, on a member that is never there. A server that is full, a replica, or a role without the command
refuses here. ZADD is the first of them, since it needs memory: after a write a script is not refused for that any more.
"""

ERASE = Script("return redis.call('UNLINK', unpack(KEYS))")
