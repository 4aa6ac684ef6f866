-- SPDX-License-Identifier: PostgreSQL
-- Gives up a user's place. Who has a pass keeps it, and counts, until it ends: it cannot be called
-- back.
-- KEYS: room, bucket of the index   ARGV: tag, life ms, user   -> 1 when something was given up
local user = ARGV[3]
local serving, frozen, slot_ms = room_read('serving', 'frozen', 'slot_ms')

if not serving then
	return 0
end
local field = user_bytes(user)
local number = tonumber(redis.call('HGET', KEYS[2], field) or '0')
if number == 0 then
	return 0
end
if number > serving then
	if number > frozen then
		local slot = math.floor(NOW_MS / slot_ms)
		redis.call('SETBIT', here_key(slot), int(number), 0)
		redis.call('SETBIT', here_key(slot + 1), int(number), 0)
		redis.call('PEXPIRE', here_key(slot), int(4 * slot_ms), 'NX')
		redis.call('PEXPIRE', here_key(slot + 1), int(4 * slot_ms), 'NX')
	end
else
	local state, batch = admission_of(number, user)
	if state ~= 'open' then
		return 0
	end
	unclaimed_take(batch)
end
redis.call('HSET', KEYS[2], field, '0')
return 1
