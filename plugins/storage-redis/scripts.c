/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripts' texts. Names of keys behind the prefix P:
 *
 *   P topics                       hash: topic → number of partitions
 *   P stream:TOPIC:N               stream of a partition
 *   P lost:P stream:TOPIC:N        hash: group → first entry behind what retention took unread
 *   P due, P due:h                 sorted set of tokens by time, hash of what is due: delayed events
 *   P inbox:LEN:TOPIC:GROUP        sorted set of tokens by time; while a daemon has one, by lease
 *        … :h :a :o:DAEMON         hash of events, of attempts; set of what a daemon has
 *   P inboxes:TOPIC                set: groups with an inbox
 *   P token                        counter
 *   P own:LEN:GROUP:P stream:TOPIC:N   key that expires: the daemon that reads a partition alone, for order
 *   P alive:DAEMON, P daemons      key that expires; hash: daemon → time it was last seen
 *   P wake, P reply:DAEMON         channels
 */
#include "scripts.h"

#include <string.h>

#define LESS_THAN                                                                               \
    "local function parts(id) local a, b = string.match(id, '(%d+)%-(%d+)')\n"                  \
    "  return tonumber(a or id), tonumber(b or 0) end\n"                                        \
    "local function less(x, y) local a, b = parts(x); local c, d = parts(y)\n"                  \
    "  return a < c or (a == c and b < d) end\n"

#define FLAT                                                                                    \
    "local function flat(t) local r = {}\n"                                                     \
    "  for i = 1, #t, 2 do r[t[i]] = t[i + 1] end; return r end\n"

#define NOW                                                                                     \
    "local t = redis.call('TIME')\n"                                                            \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

/* What was listed by idle time is claimed whatever its idle time: the two are not of one clock. */
#define CLAIM                                                                                   \
    "local function claim(key, group, me, ids)\n"                                               \
    "  ids[#ids + 1] = 'JUSTID'\n"                                                              \
    "  redis.call('XCLAIM', key, group, me, 0, unpack(ids))\n"                                  \
    "end\n"

/* Entries of pending ids: {id, times delivered, fields or false}; what is gone leaves the list. */
#define ENTRIES                                                                                 \
    "local function entry(out, key, group, id, times)\n"                                        \
    "  local e = redis.call('XRANGE', key, id, id)\n"                                           \
    "  if #e == 0 then redis.call('XACK', key, group, id) end\n"                                \
    "  out[#out + 1] = {id, times, #e > 0 and e[1][2] or false}\n"                              \
    "end\n"

static const char unit[] =
    "local P, ops, res, touched = ARGV[1], cmsgpack.unpack(ARGV[2]), {}, {}\n"
    "for _, o in ipairs(ops) do\n"
    "  if o[1] == 'a' then\n"
    "    local p = redis.call('XPENDING', o[2], o[3], o[5], o[5], 1)\n"
    "    if #p == 0 and o[6] == '1' then return {'done'} end\n"
    "    if #p > 0 and p[1][2] ~= o[4] then\n"
    "      return redis.error_reply('STALE another daemon has this entry') end\n"
    "  elseif o[1] == 'b' then\n"
    "    if redis.call('HEXISTS', o[2] .. ':h', o[4]) == 0 then\n"
    "      if o[5] == '1' then return {'done'} end\n"
    "    elseif redis.call('SISMEMBER', o[2] .. ':o:' .. o[3], o[4]) == 0 then\n"
    /* a copy in custody, which nobody has read, has its due time for a score; a lease another */
    "      local due = cmsgpack.unpack(redis.call('HGET', o[2] .. ':h', o[4]))[1]\n"
    "      if tonumber(redis.call('ZSCORE', o[2], o[4]) or '-1') ~= tonumber(due) then\n"
    "        return redis.error_reply('STALE another daemon has this entry') end\n"
    "    end\n"
    "  elseif o[1] == 'x' and redis.call('HEXISTS', P .. 'topics', o[3]) == 0 then\n"
    "    return redis.error_reply('NOTOPIC the topic has been deleted') end\n"
    "end\n"
    "for i, o in ipairs(ops) do\n"
    "  if o[1] == 'x' then\n"
    "    res[i] = redis.call('XADD', o[2], '*', unpack(o, 4)); touched[o[2]] = 1\n"
    "  elseif o[1] == 'd' or o[1] == 'i' then\n"
    "    local token = string.format('%.0f', redis.call('INCR', P .. 'token'))\n"
    "    local z = o[1] == 'd' and P .. 'due' or o[2]\n"
    "    if o[1] == 'd' then\n"
    "      redis.call('HSET', z .. ':h', token, cmsgpack.pack({o[2], o[3], unpack(o, 5)}))\n"
    "      redis.call('ZADD', z, o[4], token)\n"
    "    else\n"
    "      redis.call('HSET', z .. ':h', token, cmsgpack.pack({o[5], unpack(o, 7)}))\n"
    "      if o[6] ~= '0' then redis.call('HSET', z .. ':a', token, o[6]) end\n"
    "      redis.call('ZADD', z, o[5], token)\n"
    "      redis.call('SADD', P .. 'inboxes:' .. o[3], o[4]); touched[z] = 1\n"
    "    end\n"
    "    res[i] = token\n"
    "  end\n"
    "end\n"
    "for i, o in ipairs(ops) do\n"
    "  if o[1] == 'a' then redis.call('XACK', o[2], o[3], o[5]); res[i] = 'ok'\n"
    "  elseif o[1] == 'b' then\n"
    "    redis.call('ZREM', o[2], o[4]); redis.call('HDEL', o[2] .. ':h', o[4])\n"
    "    redis.call('HDEL', o[2] .. ':a', o[4]); redis.call('SREM', o[2] .. ':o:' .. o[3], o[4])\n"
    "    res[i] = 'ok'\n"
    "  end\n"
    "end\n"
    "for k in pairs(touched) do redis.call('PUBLISH', P .. 'wake', 'n|' .. k) end\n"
    "return res\n";

static const char fire[] =
    NOW
    "local P, z = ARGV[1], ARGV[1] .. 'due'\n"
    "local ids = redis.call('ZRANGEBYSCORE', z, '-inf', now, 'LIMIT', 0, ARGV[2])\n"
    "local touched, n = {}, 0\n"
    "for _, id in ipairs(ids) do\n"
    "  local d = redis.call('HGET', z .. ':h', id)\n"
    "  if d then\n"
    "    local o = cmsgpack.unpack(d)\n"
    "    if redis.call('HEXISTS', P .. 'topics', o[2]) == 1 then\n"
    "      redis.call('XADD', o[1], '*', unpack(o, 3)); touched[o[1]] = 1; n = n + 1 end\n"
    "    redis.call('HDEL', z .. ':h', id)\n"
    "  end\n"
    "  redis.call('ZREM', z, id)\n"
    "end\n"
    "for k in pairs(touched) do redis.call('PUBLISH', P .. 'wake', 'n|' .. k) end\n"
    "local first = redis.call('ZRANGE', z, 0, 0, 'WITHSCORES')\n"
    "return {n, first[2] or '0', tostring(now)}\n";

static const char take[] =
    FLAT ENTRIES CLAIM
    "local P, g, me, lease, left = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])\n"
    "local out, soon = {}, 0\n"
    "for _, raw in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], g)) do\n"
    "  local c = flat(raw)\n"
    "  local idle = -1\n"
    "  if c.name == 'nobody' then idle = 0\n"
    "  elseif c.name ~= me and redis.call('EXISTS', P .. 'alive:' .. c.name) == 0 then\n"
    "    idle = tonumber(lease) end\n"
    "  if idle >= 0 and c.pending > 0 then\n"
    "    if left > 0 then\n"
    "      local ids = {}\n"
    "      local p = redis.call('XPENDING', KEYS[1], g, 'IDLE', idle, '-', '+', left, c.name)\n"
    "      for _, e in ipairs(p) do\n"
    "        ids[#ids + 1] = e[1]; entry(out, KEYS[1], g, e[1], e[4]) end\n"
    "      left = left - #ids\n"
    "      if #ids < c.pending then soon = 1 end\n"
    "      if #ids > 0 then claim(KEYS[1], g, me, ids) end\n"
    "    else soon = 1 end\n"
    "  end\n"
    "end\n"
    "return {out, soon}\n";

static const char mine[] =
    ENTRIES
    "local out, last = {}, ''\n"
    "for _, e in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4],\n"
    "                              ARGV[2])) do\n"
    "  entry(out, KEYS[1], ARGV[1], e[1], e[4]); last = e[1]\n"
    "end\n"
    "return {out, last}\n";

static const char own[] =
    "local v = redis.call('GET', KEYS[1])\n"
    "if v and v ~= ARGV[1] then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "return 1\n";

static const char disown[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('PUBLISH', ARGV[1] .. 'wake', 't|' .. ARGV[3])\n"
    "return 1\n";

#define OWNED                                                                                   \
    "if redis.call('GET', ARGV[1]) ~= ARGV[3] then\n"                                           \
    "  return redis.error_reply('STALE another daemon has this partition') end\n"

/* Whoever has the partition has all that is pending in it, in its order. */
static const char all[] =
    OWNED ENTRIES CLAIM
    "local out, last, ids = {}, '', {}\n"
    "for _, e in ipairs(redis.call('XPENDING', KEYS[1], ARGV[2], ARGV[4], '+', ARGV[5])) do\n"
    "  entry(out, KEYS[1], ARGV[2], e[1], e[4]); last = e[1]; ids[#ids + 1] = e[1]\n"
    "end\n"
    "if #ids > 0 then claim(KEYS[1], ARGV[2], ARGV[3], ids) end\n"
    "return {out, last}\n";

static const char read_owned[] =
    OWNED
    "return redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS',\n"
    "                  KEYS[1], '>')\n";

static const char ack_owned[] =
    OWNED
    "return redis.call('XACK', KEYS[1], ARGV[2], unpack(ARGV, 4))\n";

static const char give[] =
    CLAIM
    "local n = 0\n"
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
    "while true do\n"
    "  local p = redis.pcall('XPENDING', KEYS[1], ARGV[2], '-', '+', 500, ARGV[3])\n"
    "  if p.err or #p == 0 then break end\n"
    "  local ids = {}\n"
    "  for _, e in ipairs(p) do\n"
    "    ids[#ids + 1] = e[1]\n"
    "    if #redis.call('XRANGE', KEYS[1], e[1], e[1]) == 0 then\n"
    "      redis.call('XACK', KEYS[1], ARGV[2], e[1]) end\n"
    "  end\n"
    "  n = n + #ids\n"
    "  claim(KEYS[1], ARGV[2], 'nobody', ids)\n"
    "end\n"
    "if n > 0 then redis.call('PUBLISH', ARGV[1] .. 'wake', 't|' .. KEYS[1]) end\n"
    "return n\n";

static const char tried[] =
    "local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])\n"
    "if #p == 0 then return 0 end\n"
    "redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', ARGV[4],\n"
    "           'JUSTID')\n"
    "return 1\n";

static const char renew[] =
    CLAIM
    "local n = 0\n"
    "for i = 1, 20 do\n"
    "  local p = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', 500,\n"
    "                       ARGV[2])\n"
    "  if #p == 0 then break end\n"
    "  local ids = {}\n"
    "  for _, e in ipairs(p) do\n"
    "    if #redis.call('XRANGE', KEYS[1], e[1], e[1]) > 0 then ids[#ids + 1] = e[1] end end\n"
    "  if #ids == 0 then break end\n"
    "  n = n + #ids\n"
    "  local all = #ids == #p\n"
    "  claim(KEYS[1], ARGV[1], ARGV[2], ids)\n"
    "  if not all then break end\n"
    "end\n"
    "return n\n";

static const char inbox_read[] =
    NOW
    "local z, me, out = KEYS[1], ARGV[1], {}\n"
    "for _, id in ipairs(redis.call('ZRANGEBYSCORE', z, '-inf', now, 'LIMIT', 0, ARGV[3])) do\n"
    "  local d = redis.call('HGET', z .. ':h', id)\n"
    "  if d then\n"
    "    local o = cmsgpack.unpack(d)\n"
    "    redis.call('ZADD', z, now + ARGV[2], id)\n"
    "    redis.call('SADD', z .. ':o:' .. me, id)\n"
    "    out[#out + 1] = {id, o[1], redis.call('HGET', z .. ':a', id) or '0', {unpack(o, 2)}}\n"
    "  else redis.call('ZREM', z, id) end\n"
    "end\n"
    "local first = redis.call('ZRANGE', z, 0, 0, 'WITHSCORES')\n"
    "return {out, first[2] or '0', tostring(now)}\n";

static const char inbox_back[] =
    "local z, mine, keep, n = KEYS[1], KEYS[1] .. ':o:' .. ARGV[2], {}, 0\n"
    "for i = 3, #ARGV do keep[ARGV[i]] = 1 end\n"
    "for _, id in ipairs(redis.call('SMEMBERS', mine)) do\n"
    "  if not keep[id] then\n"
    "    local d = redis.call('HGET', z .. ':h', id)\n"
    "    if d then redis.call('ZADD', z, 'XX', cmsgpack.unpack(d)[1], id); n = n + 1 end\n"
    "    redis.call('SREM', mine, id)\n"
    "  end\n"
    "end\n"
    "if n > 0 then redis.call('PUBLISH', ARGV[1] .. 'wake', 'n|' .. z) end\n"
    "return n\n";

static const char inbox_ack[] =
    "local z, n = KEYS[1], 0\n"
    "for i = 2, #ARGV do\n"
    "  n = n + redis.call('ZREM', z, ARGV[i]); redis.call('HDEL', z .. ':h', ARGV[i])\n"
    "  redis.call('HDEL', z .. ':a', ARGV[i]); redis.call('SREM', z .. ':o:' .. ARGV[1], ARGV[i])\n"
    "end\n"
    "return n\n";

static const char inbox_renew[] =
    NOW
    "for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[i]) end\n"
    "return #ARGV - 1\n";

static const char inbox_tried[] =
    "if redis.call('HEXISTS', KEYS[1] .. ':h', ARGV[1]) == 1 then\n"
    "  redis.call('HSET', KEYS[1] .. ':a', ARGV[1], ARGV[2]) end\n"
    "return 1\n";

static const char topic[] =
    "local P, name = ARGV[1], ARGV[2]\n"
    "local n = tonumber(redis.call('HGET', P .. 'topics', name) or '0')\n"
    "if n == 0 and ARGV[4] == '0' then\n"
    "  return redis.error_reply('NOTOPIC there is no such topic') end\n"
    "if n < tonumber(ARGV[3]) and ARGV[4] ~= '0' then\n"
    "  n = tonumber(ARGV[3]); redis.call('HSET', P .. 'topics', name, ARGV[3]) end\n"
    "for p = 0, n - 1 do\n"
    "  local key = P .. 'stream:' .. name .. ':' .. p\n"
    "  local kind = redis.call('TYPE', key).ok\n"
    "  if kind ~= 'none' and kind ~= 'stream' then\n"
    "    return redis.error_reply('WRONGTYPE the key ' .. key .. ' is no stream') end\n"
    "  if kind == 'none' then\n"
    "    redis.call('XGROUP', 'CREATE', key, 'emesh', '0', 'MKSTREAM')\n"
    "    redis.call('XGROUP', 'DESTROY', key, 'emesh')\n"
    "  end\n"
    "end\n"
    "return n\n";

static const char place[] =
    LESS_THAN FLAT
    "local P, what, name, group, id, only = unpack(ARGV)\n"
    "local n = tonumber(redis.call('HGET', P .. 'topics', name) or '0')\n"
    "if n == 0 then return redis.error_reply('NOTOPIC there is no such topic') end\n"
    "local has, known, done = {}, false, 0\n"
    "local function key(p) return P .. 'stream:' .. name .. ':' .. p end\n"
    "for p = 0, n - 1 do\n"
    "  local g = redis.pcall('XINFO', 'GROUPS', key(p))\n"
    "  for _, raw in ipairs(g.err and {} or g) do\n"
    "    if flat(raw).name == group then has[p] = true; known = true end end\n"
    "end\n"
    "local function from(p)\n"
    "  if id == '$' then return id end\n"
    "  local s = redis.pcall('XINFO', 'STREAM', key(p))\n"
    "  if s.err or not less(id, flat(s)['last-generated-id']) then return s.err and '0' or '$' end\n"
    "  return id\n"
    "end\n"
    "for p = 0, n - 1 do\n"
    "  if only == '' or only == tostring(p) then\n"
    "    if what == 'seek' then\n"
    "      if has[p] then redis.call('XGROUP', 'DESTROY', key(p), group) end\n"
    "      redis.call('XGROUP', 'CREATE', key(p), group, from(p), 'MKSTREAM')\n"
    "      redis.call('HDEL', P .. 'lost:' .. key(p), group); done = done + 1\n"
    "    elseif not has[p] then\n"
    "      redis.call('XGROUP', 'CREATE', key(p), group, known and '0' or from(p), 'MKSTREAM')\n"
    "      done = done + 1\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return done\n";

#define DROP_INBOX                                                                              \
    "local function drop_inbox(t, g)\n"                                                         \
    "  local z = P .. 'inbox:' .. #t .. ':' .. t .. ':' .. g\n"                                 \
    "  for _, d in ipairs(redis.call('HKEYS', P .. 'daemons')) do\n"                            \
    "    redis.call('DEL', z .. ':o:' .. d) end\n"                                              \
    "  local n = redis.call('DEL', z, z .. ':h', z .. ':a')\n"                                  \
    "  return n + redis.call('SREM', P .. 'inboxes:' .. t, g)\n"                                \
    "end\n"

static const char forget[] =
    "local P, name, group = unpack(ARGV)\n" DROP_INBOX
    "local n = tonumber(redis.call('HGET', P .. 'topics', name) or '0')\n"
    "if n == 0 then return redis.error_reply('NOTOPIC there is no such topic') end\n"
    "local done = drop_inbox(name, group)\n"
    "for p = 0, n - 1 do\n"
    "  local key = P .. 'stream:' .. name .. ':' .. p\n"
    "  local r = redis.pcall('XGROUP', 'DESTROY', key, group)\n"
    "  if type(r) == 'number' then done = done + r end\n"
    "  redis.call('HDEL', P .. 'lost:' .. key, group)\n"
    "end\n"
    "return done\n";

static const char delete[] =
    "local P, name = unpack(ARGV)\n" DROP_INBOX
    "local n = tonumber(redis.call('HGET', P .. 'topics', name) or '0')\n"
    "if n == 0 then return redis.error_reply('NOTOPIC there is no such topic') end\n"
    "for _, g in ipairs(redis.call('SMEMBERS', P .. 'inboxes:' .. name)) do drop_inbox(name, g) end\n"
    "for p = 0, n - 1 do\n"
    "  local key = P .. 'stream:' .. name .. ':' .. p\n"
    "  redis.call('UNLINK', key, P .. 'lost:' .. key)\n"
    "  redis.call('PUBLISH', P .. 'wake', 'n|' .. key)\n"
    "end\n"
    "redis.call('HDEL', P .. 'topics', name)\n"
    "return n\n";

/* Counting is bounded, as the server does nothing else meanwhile: '-1' is unknown. */
#define COUNT                                                                                   \
    "local function count(key, from)\n"                                                         \
    "  local n = 0\n"                                                                           \
    "  for i = 1, 40 do\n"                                                                      \
    "    local e = redis.call('XRANGE', key, from, '+', 'COUNT', 500)\n"                        \
    "    n = n + #e\n"                                                                          \
    "    if #e < 500 then return n end\n"                                                       \
    "    from = '(' .. e[#e][1]\n"                                                              \
    "  end\n"                                                                                   \
    "  return -1\n"                                                                             \
    "end\n"                                                                                     \
    "local function waiting(key, group, from)\n"                                                \
    "  local n = 0\n"                                                                           \
    "  for i = 1, 40 do\n"                                                                      \
    "    local e = redis.call('XPENDING', key, group, from, '+', 500)\n"                        \
    "    n = n + #e\n"                                                                          \
    "    if #e < 500 then return n end\n"                                                       \
    "    from = '(' .. e[#e][1]\n"                                                              \
    "  end\n"                                                                                   \
    "  return -1\n"                                                                             \
    "end\n"

static const char list[] =
    LESS_THAN FLAT COUNT
    "local P, what, only, grp, from = unpack(ARGV)\n"
    "local rows = {}\n"
    "local function row(t, p, g, n, first, last, at, oldest, bytes)\n"
    "  rows[#rows + 1] = {t, tostring(p), g, n, first, last, at, oldest, bytes} end\n"
    "local function id(e) return #e > 0 and e[1][1] or '' end\n"
    "local function groups(t, p, key, first, last)\n"
    "  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', key)) do\n"
    "    local g = flat(raw)\n"
    "    if grp == '' or grp == g.name then\n"
    "      local at = g['last-delivered-id']\n"
    "      local pend = redis.call('XPENDING', key, g.name)\n"
    "      local new = from == '' and g.lag\n"
    "      if not new then\n"
    "        new = count(key, (from ~= '' and less(at, from)) and from or '(' .. at) end\n"
    "      local old = from == '' and g.pending or waiting(key, g.name, from)\n"
    "      local oldest = pend[2] or id(redis.call('XRANGE', key, '(' .. at, '+', 'COUNT', 1))\n"
    "      row(t, p, g.name, (new < 0 or old < 0) and -1 or new + old, first, last, at,\n"
    "          pend[2] and '<' .. pend[2] or oldest, -1)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for _, t in ipairs(only ~= '' and {only} or redis.call('HKEYS', P .. 'topics')) do\n"
    "  for p = 0, tonumber(redis.call('HGET', P .. 'topics', t) or '0') - 1 do\n"
    "    local key = P .. 'stream:' .. t .. ':' .. p\n"
    "    if redis.call('TYPE', key).ok == 'stream' then\n"
    "      local first = id(redis.call('XRANGE', key, '-', '+', 'COUNT', 1))\n"
    "      local last = id(redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1))\n"
    "      if what == 'groups' then groups(t, p, key, first, last)\n"
    "      else\n"
    "        row(t, p, '', from == '' and redis.call('XLEN', key) or count(key, from), first, last,\n"
    "            '', '', redis.call('MEMORY', 'USAGE', key) or -1)\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return rows\n";

static const char find[] =
    "local P, only, id, source = unpack(ARGV)\n"
    "local rows, left = {}, 20000\n"
    "for _, t in ipairs(only ~= '' and {only} or redis.call('HKEYS', P .. 'topics')) do\n"
    "  for p = 0, tonumber(redis.call('HGET', P .. 'topics', t) or '0') - 1 do\n"
    "    local key, to = P .. 'stream:' .. t .. ':' .. p, '+'\n"
    "    while left > 0 and redis.call('TYPE', key).ok == 'stream' do\n"
    "      local es = redis.call('XREVRANGE', key, to, '-', 'COUNT', 200)\n"
    "      for _, e in ipairs(es) do\n"
    "        local f, src = e[2], ''\n"
    "        local found = false\n"
    "        for i = 1, #f, 2 do\n"
    "          if f[i] == 'ce_id' and f[i + 1] == id then found = true\n"
    "          elseif f[i] == 'ce_source' then src = f[i + 1] end\n"
    "        end\n"
    "        if found and (source == '' or source == src) then\n"
    "          rows[#rows + 1] = {t, tostring(p), '', 1, e[1], e[1], '', e[1], -1, src} end\n"
    "      end\n"
    "      left = left - #es\n"
    "      if #es < 200 then break end\n"
    "      to = '(' .. es[#es][1]\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return rows\n";

static const char trim[] =
    LESS_THAN FLAT
    "local P, name, p, cut, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])\n"
    "local key = P .. 'stream:' .. name .. ':' .. p\n"
    "if redis.call('TYPE', key).ok ~= 'stream' then return {0} end\n"
    "local len = redis.call('XLEN', key)\n"
    "local use = most > 0 and redis.call('MEMORY', 'USAGE', key) or 0\n"
    "if len > 1 and use > most then\n"
    "  local over = math.min(math.ceil(len * (use - most) / use), len - 1, 2000)\n"
    "  local e = redis.call('XRANGE', key, '-', '+', 'COUNT', over + 1)\n"
    "  if less(cut, e[#e][1]) then cut = e[#e][1] end\n"
    "end\n"
    "local e = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)\n"
    "if #e == 0 or not less(e[1][1], cut) then return {0} end\n"
    "local unread = {}\n"
    "for _, raw in ipairs(redis.call('XINFO', 'GROUPS', key)) do\n"
    "  local g = flat(raw)\n"
    "  local u = redis.call('XRANGE', key, '(' .. g['last-delivered-id'], '+', 'COUNT', 1)\n"
    "  if #u > 0 and less(u[1][1], cut) then unread[g.name] = u[1][1] end\n"
    "end\n"
    "local n = redis.call('XTRIM', key, 'MINID', '~', cut, 'LIMIT', 10000)\n"
    "if n < 10000 then n = n + redis.call('XTRIM', key, 'MINID', '=', cut) end\n"
    "e = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)\n"
    "local first = #e > 0 and e[1][1] or cut\n"
    "local out = {n}\n"
    "for g, at in pairs(unread) do\n"
    "  if less(at, first) then\n"
    "    redis.call('HSET', P .. 'lost:' .. key, g, first)\n"
    "    out[#out + 1] = g .. ' from ' .. at .. ' to before ' .. first\n"
    "  end\n"
    "end\n"
    "if #out > 1 then redis.call('PUBLISH', P .. 'wake', 'l|' .. key) end\n"
    "return out\n";

const rs_script rs_scripts[RS_SCRIPTS] = {
    [RS_SCRIPT_UNIT] = { unit },
    [RS_SCRIPT_FIRE] = { fire },
    [RS_SCRIPT_TAKE] = { take },
    [RS_SCRIPT_MINE] = { mine },
    [RS_SCRIPT_GIVE] = { give },
    [RS_SCRIPT_TRIED] = { tried },
    [RS_SCRIPT_RENEW] = { renew },
    [RS_SCRIPT_OWN] = { own },
    [RS_SCRIPT_DISOWN] = { disown },
    [RS_SCRIPT_ALL] = { all },
    [RS_SCRIPT_READ_OWNED] = { read_owned },
    [RS_SCRIPT_ACK_OWNED] = { ack_owned },
    [RS_SCRIPT_INBOX_READ] = { inbox_read },
    [RS_SCRIPT_INBOX_BACK] = { inbox_back },
    [RS_SCRIPT_INBOX_ACK] = { inbox_ack },
    [RS_SCRIPT_INBOX_RENEW] = { inbox_renew },
    [RS_SCRIPT_INBOX_TRIED] = { inbox_tried },
    [RS_SCRIPT_TOPIC] = { topic },
    [RS_SCRIPT_PLACE] = { place },
    [RS_SCRIPT_FORGET] = { forget },
    [RS_SCRIPT_DELETE] = { delete },
    [RS_SCRIPT_LIST] = { list },
    [RS_SCRIPT_FIND] = { find },
    [RS_SCRIPT_TRIM] = { trim },
};

char *
rs_script_sha(uint32_t script)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA1, rs_scripts[script].text, -1);
}

void
rs_script_begin(rs_args *a, const char *sha, const char *key)
{
    rs_args_begin(a, "EVALSHA");
    rs_args_text(a, sha);
    rs_args_text(a, key != NULL ? "1" : "0");
    if (key != NULL)
        rs_args_text(a, key);
}
