-- SPDX-License-Identifier: PostgreSQL
-- Repairs marks after what the database said of them, each only if it is still what it was before
-- the database was asked: then the database is newer whatever the fences say. Live holds are not
-- the database's to judge.
-- KEYS: seats   ARGV: (seat, entry seen, state or "-" for no such seat, user, fence, ms to live)...
-- -> holds that had lapsed, marks that were wrong
local _, now_ms = clock()
local lapsed, repaired = 0, 0

for i = 1, #ARGV, 6 do
	local seat, seen, state, user = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	local fence, expires = tonumber(ARGV[i + 4]), now_ms + tonumber(ARGV[i + 5])
	local entry = entry_parse(seen)
	if redis.call('HGET', KEYS[1], seat) ~= seen then
		entry = nil
	end
	if entry and entry.state == 'H' then
		if entry.expires <= now_ms then
			redis.call('HDEL', KEYS[1], seat)
			lapsed = lapsed + 1
		end
	elseif entry and (state == 'F' or state == '-') then
		if entry.state ~= 'F' and entry.expires > now_ms then
			repaired = repaired + 1
			redis.call('HSET', KEYS[1], seat, entry_text('F', '', fence, expires))
		elseif entry.expires <= now_ms then
			redis.call('HDEL', KEYS[1], seat)
		end
	elseif entry then
		if entry.state ~= state or entry.user ~= user then
			repaired = repaired + 1
		end
		redis.call('HSET', KEYS[1], seat, entry_text(state, user, fence, expires))
	end
end
return {lapsed, repaired}
