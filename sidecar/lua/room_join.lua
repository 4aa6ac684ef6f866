-- SPDX-License-Identifier: PostgreSQL
-- Gives a user the one place of this date, and counts as being heard.
-- KEYS: room, bucket of the index   ARGV: tag, life ms, user
-- -> cold | lease | state (waiting, admitted), number, created, serving, numbers left of the lease
-- A place that was lost is followed by a new one at the end.
local user = ARGV[3]
local serving, frozen, slot_ms, tail, leased, spare_from, spare_to =
	room_read('serving', 'frozen', 'slot_ms', 'tail', 'leased', 'spare_from', 'spare_to')

if not serving then
	return {'cold'}
end
local field = user_bytes(user)
local number = tonumber(redis.call('HGET', KEYS[2], field) or '0')
local state, created = 'waiting', 0
if number > 0 and number <= serving then
	if admission_of(number, user) then
		state = 'admitted'
	else
		number = 0
	end
end
if number == 0 then
	if tail >= leased and spare_to > 0 then
		tail, leased, spare_from, spare_to = spare_from - 1, spare_to, 0, 0
		redis.call('HSET', ROOM, 'leased', int(leased))
		redis.call('HDEL', ROOM, 'spare_from', 'spare_to')
	end
	if tail >= leased then
		return {'lease'}
	end
	tail, created = tail + 1, 1
	number = tail
	redis.call('HSET', ROOM, 'tail', int(tail))
	redis.call('HSET', KEYS[2], field, int(number))
	redis.call('PEXPIRE', KEYS[2], LIFE_MS)
	redis.call('PEXPIRE', ROOM, LIFE_MS)
end
if number > frozen then
	here_set(slot_ms, number)
end
local left = leased - tail + (spare_to > 0 and spare_to - spare_from + 1 or 0)
return {state, int(number), tostring(created), int(serving), int(left)}
