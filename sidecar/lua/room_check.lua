-- SPDX-License-Identifier: PostgreSQL
-- Asks what became of a place: the heartbeat of who waits, the claim of who is admitted. Asking
-- again answers the same.
-- KEYS: room, bucket of the index   ARGV: tag, life ms, user, number
-- -> cold | waiting, serving | admitted, issued ms, pass seconds, ms left of the pass | lost
-- The index decides which of two places of one user counts; a cold one learns it again from the
-- signed places.
local user, number = ARGV[3], tonumber(ARGV[4])
local serving, frozen, slot_ms, tail, leased =
	room_read('serving', 'frozen', 'slot_ms', 'tail', 'leased')

if not serving then
	return {'cold'}
end
local field = user_bytes(user)
local known = redis.call('HGET', KEYS[2], field)
if not known then
	redis.call('HSET', KEYS[2], field, int(number))
	redis.call('PEXPIRE', KEYS[2], LIFE_MS)
elseif tonumber(known) ~= number then
	return {'lost'}
end
-- It is signed, so it was given out: a Redis that forgot this must not give it to another.
if number > tail then
	redis.call('HSET', ROOM, 'tail', int(number), 'leased', int(math.max(leased, number)))
end
if number > serving then
	if number > frozen then
		here_set(slot_ms, number)
	end
	return {'waiting', int(serving)}
end
local state, batch = admission_of(number, user)
if not state then
	return {'lost'}
end
if state == 'open' then
	unclaimed_take(batch)
	redis.call('ZADD', ACTIVE, int(batch.pass_until), session_name(number, user))
	redis.call('PEXPIRE', ACTIVE, LIFE_MS)
end
return {'admitted', batch.issued_ms, batch.pass_seconds, int(batch.pass_until - NOW_MS)}
