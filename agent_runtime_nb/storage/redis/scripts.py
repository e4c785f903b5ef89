"""The Lua scripts: one for each verb, and what the indexes need.

A script checks everything before it writes anything, and Redis refuses one that lacks
memory at its first write, so a step happens whole or not at all. Whatever is not found
or refused comes back as a word and facts, never as an error. Positions and epochs stay
decimal text: Lua would round them.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)

Command = tuple[Any, ...]
"""The words of one command, as redis-py sends them."""


class Script(NamedTuple):
    """A script and its name on the server."""

    text: str
    digest: str

    def call(self, keys: Iterable[bytes], *arguments: Any) -> Command:
        """The command that runs it; all keys are in one slot."""
        keys = tuple(keys)
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


def _script(text: str, *, common: bool = True) -> Script:
    text = _COMMON + text if common else text
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# The keys are those of `ActorKeys`, in their order, and so are the letters of a turn's
# parts: id, status, attempts, accepted_at, ended_at, body, result, entries, checkpoint.
_COMMON = """
local actor, values, value_keys = KEYS[1], KEYS[2], KEYS[3]
local positions, open = KEYS[4], KEYS[5]
local function turn(at)
  return {at, redis.call('HMGET', actor, at..'i', at..'s', at..'n', at..'a', at..'z',
    at..'b', at..'r', at..'e', at..'c')}
end
local function all_turns(found)
  local records = {}
  for n, at in ipairs(found) do records[n] = turn(at) end
  return records
end
local function set_values(from, count)
  for i = from, from + 2 * count - 2, 2 do
    if redis.call('HSET', values, ARGV[i], ARGV[i + 1]) == 1 then
      redis.call('ZADD', value_keys, 0, ARGV[i])
    end
  end
  return from + 2 * count
end
local function remove_values(from, count)
  for i = from, from + count - 1 do
    if redis.call('HDEL', values, ARGV[i]) == 1 then
      redis.call('ZREM', value_keys, ARGV[i])
    end
  end
end
"""

# ARGV: host, its name, take over (1, 0), the id of a dead host or ''.
CLAIM = _script("""
local found = redis.call('HMGET', actor, 'epoch', 'etag', 'next', 'generation', 'marks',
  'owner', 'name')
local epoch, owner = found[1] or '0', found[6]
if owner ~= ARGV[1] then
  if owner and ARGV[3] == '0' and owner ~= ARGV[4] then
    return {'owned', owner, found[7]}
  end
  epoch = string.format('%.0f', tonumber(epoch) + 1)
  redis.call('HSET', actor, 'epoch', epoch, 'owner', ARGV[1], 'name', ARGV[2])
end
return {'ok', epoch, found[2], found[3] or '1', found[4] or '0', found[5],
  redis.call('HGETALL', values), all_turns(redis.call('ZRANGE', open, 0, -1))}
""")

# ARGV: epoch, generation, etag to compare ('' none, '-' never written, '=...'), new
# etag or '', marks ('' as they are, ' +added -removed'), counts of accepted, started,
# ended, set and removed, position of the checkpoint or '', checkpoint; then those lists:
# accepted, twice: {:message id}, then {position, pending (1, 0), number of parts, {part,
# value}}, the attempts first; started: {position}; ended: {position, number of parts,
# letters of the parts that go, {part, value}}; set: {key, value}; removed: {key}.
#
# A call costs the server more than all the rest here, hence few of them.
APPLY = _script("""
local accepted = tonumber(ARGV[6])
local found = redis.call('HMGET', actor, 'epoch', 'etag', 'next', 'generation', 'name',
  unpack(ARGV, 13, 12 + accepted))
if found[1] ~= ARGV[1] then return {'epoch', found[5]} end
if (found[4] or '0') ~= ARGV[2] then return {'again', found[4] or '0'} end
if ARGV[3] ~= '' and ARGV[3] ~= (found[2] and '='..found[2] or '-') then
  return {'etag', found[2]}
end
local i, following = 13 + accepted, tonumber(found[3] or '1')
local new, known, at_of, pending = {}, {}, {}, {}
for n = 1, accepted do
  local at, id = ARGV[i], ARGV[12 + n]
  local stored = at_of[id] or found[5 + n]
  if stored then
    known[#known + 1] = stored
  elseif tonumber(at) < following then
    return {'position', string.format('%.0f', following), at}
  else
    at_of[id], pending[at] = at, ARGV[i + 1] == '1'
    new[#new + 1] = i
    following = tonumber(at) + 1
  end
  i = i + 3 + 2 * tonumber(ARGV[i + 2])
end
local started = i
local ended = started + tonumber(ARGV[7])
i = ended
for _ = 1, tonumber(ARGV[8]) do
  local at = ARGV[i]
  if not pending[at] and not redis.call('ZSCORE', open, at) then
    return {'open', at, redis.call('HGET', actor, at..'s')}
  end
  i = i + 3 + 2 * tonumber(ARGV[i + 1])
end

local fields, starts, opened, closed = {}, {}, {}, {}
local function put(from, last)
  for n = from, last do fields[#fields + 1] = ARGV[n] end
end
local function put_pair(field, value)
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end
for n = started, ended - 1 do starts[ARGV[n]] = (starts[ARGV[n]] or 0) + 1 end
for _, from in ipairs(new) do
  local at = ARGV[from]
  if starts[at] and pending[at] then
    ARGV[from + 4] = tonumber(ARGV[from + 4]) + starts[at]
    starts[at] = nil
  end
  put(from + 3, from + 2 + 2 * tonumber(ARGV[from + 2]))
  if pending[at] then opened[at] = true end
end
if #new > 0 then put_pair('next', string.format('%.0f', following)) end
local checkpoint = ARGV[11]
if checkpoint ~= '' and (opened[checkpoint] or redis.call('ZSCORE', open, checkpoint))
then
  put_pair(checkpoint..'c', ARGV[12])
end
local gone = {}
i = ended
for _ = 1, tonumber(ARGV[8]) do
  local at, last = ARGV[i], i + 2 + 2 * tonumber(ARGV[i + 1])
  if opened[at] then opened[at] = nil else closed[#closed + 1] = at end
  for part in string.gmatch(ARGV[i + 2], '%a') do gone[#gone + 1] = at..part end
  put(i + 3, last)
  i = last + 1
end
if ARGV[4] ~= '' then put_pair('etag', ARGV[4]) end
if ARGV[5] ~= '' then
  local marks = (redis.call('HGET', actor, 'marks') or '=')..' '
  for sign, mark in string.gmatch(ARGV[5], '([+-])(%a+)') do
    marks = string.gsub(marks, ' '..mark..' ', ' ')
    if sign == '+' then marks = marks..mark..' ' end
  end
  put_pair('marks', string.sub(marks, 1, -2))
end

for from = 1, #fields, 4000 do
  redis.call('HSET', actor, unpack(fields, from, math.min(from + 3999, #fields)))
end
for _, from in ipairs(new) do
  local at = ARGV[from]
  redis.call('ZADD', positions, at, at)
  if opened[at] then redis.call('ZADD', open, at, at) end
end
for at, times in pairs(starts) do
  if redis.call('ZSCORE', open, at) then
    redis.call('HINCRBY', actor, at..'n', times)
  end
end
for _, at in ipairs(closed) do redis.call('ZREM', open, at) end
for _, field in ipairs(gone) do redis.call('HDEL', actor, field) end
remove_values(set_values(i, tonumber(ARGV[9])), tonumber(ARGV[10]))
return {'ok', all_turns(known)}
""")

# ARGV: generation, etag to compare ('-', '=...'), new etag, counts of set and removed,
# then those lists.
WRITE = _script("""
local found = redis.call('HMGET', actor, 'etag', 'generation')
if (found[2] or '0') ~= ARGV[1] then return {'again', found[2] or '0'} end
if ARGV[2] ~= (found[1] and '='..found[1] or '-') then return {'etag', found[1]} end
redis.call('HSET', actor, 'etag', ARGV[3])
remove_values(set_values(6, tonumber(ARGV[4])), tonumber(ARGV[5]))
return {'ok'}
""")

# ARGV: the epoch that it must be, or ''. Unlinking comes first: it is allowed when
# there is no memory left, and frees some.
DELETE = _script("""
local found = redis.call('HMGET', actor, 'epoch', 'next', 'generation', 'name')
if ARGV[1] ~= '' and found[1] ~= ARGV[1] then return {'epoch', found[4]} end
if redis.call('EXISTS', actor) == 0 then
  -- Never written by a host; somebody may have made the rest by hand.
  return {'ok', math.min(redis.call('UNLINK', values, value_keys, positions, open), 1)}
end
local existed = redis.call('EXISTS', values, positions)
redis.call('UNLINK', actor, values, value_keys, positions, open)
redis.call('HSET', actor, 'epoch', string.format('%.0f', (found[1] or 0) + 1),
  'next', found[2] or '1', 'generation', found[3] or '0')
return {'ok', existed}
""")

# ARGV: how many to keep. `trimmed` is a position up to which nothing is left to do.
TRIM = _script("""
local keep, waiting = tonumber(ARGV[1]), redis.call('ZCARD', open)
local bound = '+inf'
if keep > 0 then
  bound = nil
  local ended = 0
  for _, at in ipairs(redis.call('ZREVRANGE', positions, 0, keep + waiting - 1)) do
    if waiting == 0 or not redis.call('ZSCORE', open, at) then ended = ended + 1 end
    if ended == keep then
      bound = '('..at
      break
    end
  end
end
if not bound then return {'ok'} end
local trimmed = redis.call('HGET', actor, 'trimmed')
local from = trimmed and '('..trimmed or '-inf'
local whole = true
for _, at in ipairs(redis.call('ZRANGEBYSCORE', positions, from, bound)) do
  if waiting > 0 and redis.call('ZSCORE', open, at) then
    whole = false
  else
    redis.call('HDEL', actor, at..'r')
    if redis.call('HGET', actor, at..'s') ~= 'interrupted' then
      redis.call('HDEL', actor, at..'b')
    end
    if whole then trimmed = at end
  end
end
if trimmed then redis.call('HSET', actor, 'trimmed', trimmed) end
return {'ok'}
""")

# ARGV: which values are wanted: all; those in a range of keys, and its bounds; or those
# of some keys, and these.
READ_STATE = _script("""
local found = redis.call('HMGET', actor, 'etag', 'epoch')
local pairs, wanted = {}, {}
if ARGV[1] == 'all' then
  pairs = redis.call('HGETALL', values)
elseif ARGV[1] == 'range' then
  wanted = redis.call('ZRANGEBYLEX', value_keys, ARGV[2], ARGV[3])
else
  for i = 2, #ARGV do
    wanted[i - 1] = ARGV[i]
  end
end
for _, key in ipairs(wanted) do
  local value = redis.call('HGET', values, key)
  if value then
    pairs[#pairs + 1] = key
    pairs[#pairs + 1] = value
  end
end
return {found[1], found[2] or '0', pairs}
""")

# ARGV: message id.
FIND_TURN = _script("""
local at = redis.call('HGET', actor, ':'..ARGV[1])
return at and turn(at)
""")

# ARGV: the highest position, as a bound of a range, and how many; newest first.
READ_TURNS = _script("""
return all_turns(redis.call('ZREVRANGEBYSCORE', positions, ARGV[1], '-inf', 'LIMIT', 0,
  ARGV[2]))
""")

# Whether there is data, whether a turn is open, the marks.
LOOK = _script("""
return {redis.call('EXISTS', values, positions), redis.call('EXISTS', open),
  redis.call('HGET', actor, 'marks')}
""")

# ARGV: 'all', 'open', or 'mark' and the mark. See `index`.
SEAL = _script("""
local belongs
if ARGV[1] == 'all' then
  belongs = redis.call('EXISTS', values, positions) > 0
elseif ARGV[1] == 'open' then
  belongs = redis.call('EXISTS', open) > 0
else
  local marks = redis.call('HGET', actor, 'marks') or ''
  belongs = string.find(marks..' ', ' '..ARGV[2]..' ', 1, true)
end
if belongs then return 0 end
redis.call('HINCRBY', actor, 'generation', 1)
return 1
""")

# KEYS: the members and the tokens of an index; ARGV: {member, its token}.
DROP = _script(
    """
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
return 0
""",
    common=False,
)

SCRIPTS = (
    CLAIM, APPLY, WRITE, DELETE, TRIM, READ_STATE, FIND_TURN, READ_TURNS, LOOK, SEAL,
    DROP,
)  # fmt: skip


def record_of(reply: Any) -> TurnRecord:
    """The turn that the scripts' `turn` gave."""
    position, parts = reply
    message_id, status, attempts, accepted_at, ended_at, *contents = parts
    body, result, entries, checkpoint = contents
    return TurnRecord(
        position=int(position),
        message_id=message_id.decode(),
        status=RequestStatus(status.decode()),
        attempts=int(attempts),
        body=body,
        result=result,
        entries=entries,
        checkpoint=checkpoint,
        accepted_at=float(accepted_at),
        ended_at=None if ended_at is None else float(ended_at),
    )


def values_of(reply: list[bytes]) -> dict[str, bytes]:
    """The values in an answer of HGETALL."""
    return {
        key.decode(): value for key, value in zip(reply[::2], reply[1::2], strict=True)
    }
