-- SPDX-License-Identifier: PostgreSQL
-- Gives back what this user still holds under this fence; a mark that has replaced the hold stays.
-- KEYS: seats   ARGV: user, fence, seat ids...   -> seats released
local user, fence = ARGV[1], tonumber(ARGV[2])
local released = 0

for i = 3, #ARGV do
	local entry = entry_parse(redis.call('HGET', KEYS[1], ARGV[i]))
	if entry and entry.state == 'H' and entry.user == user and entry.fence == fence then
		released = released + redis.call('HDEL', KEYS[1], ARGV[i])
	end
end
return released
