-- SPDX-License-Identifier: PostgreSQL
-- Writes what the database said of seats, unless something newer is known; also while the hash is
-- cold, so that a mark and a rebuild may come in either order. What is known of a fence raises the
-- newest one, so that no later hold starts below it.
-- KEYS: seats   ARGV: life of the seats key in ms, (seat, state, user, fence, ms to live)...
-- -> holds that had lapsed, marks written
local _, now_ms = clock()
local lapsed, written, newest = 0, 0, 0

-- A lapsed hold never reached the database and blocks nothing. Without a fence a mark gives way to
-- all that has one.
local function yields(entry, fence, rank)
	if not entry or entry.state == 'H' and entry.expires <= now_ms then
		return true
	end
	if fence == 0 then
		return entry.fence == 0 or entry.expires <= now_ms or entry.state == 'F'
	end
	return fence > entry.fence or fence == entry.fence and rank >= RANK[entry.state]
end

for i = 2, #ARGV, 5 do
	local seat, state, user = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	local fence, expires = tonumber(ARGV[i + 3]), now_ms + tonumber(ARGV[i + 4])
	local entry = entry_parse(redis.call('HGET', KEYS[1], seat))
	newest = math.max(newest, fence)
	if entry and entry.state == 'H' and entry.expires <= now_ms then
		lapsed = lapsed + 1
	end
	if yields(entry, fence, RANK[state]) then
		if state == 'P' and entry and entry.state == 'P' and entry.fence == fence then
			expires = math.max(expires, entry.expires)
		end
		if state == 'F' and fence == 0 then
			redis.call('HDEL', KEYS[1], seat)
		else
			redis.call('HSET', KEYS[1], seat, entry_text(state, user, fence, expires))
		end
		written = written + 1
	end
end
if newest > tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') then
	redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', newest))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {lapsed, written}
