-- SPDX-License-Identifier: PostgreSQL
-- Admits the range of the plan, once PostgreSQL has it on record.
-- KEYS: room   ARGV: tag, life ms, from, to, issued ms, claim ms, pass seconds
-- -> cold | unsettled (there is no such plan any more) | ok
local from, to = tonumber(ARGV[3]), tonumber(ARGV[4])
local claim_ms, pass_seconds = tonumber(ARGV[6]), tonumber(ARGV[7])

if not room_read('serving') then
	return {'cold'}
end
local plan_from, plan_to, admitted, slot =
	string.match(redis.call('HGET', ROOM, 'plan') or '', '^(%d+)|(%d+)|(%d+)|(%d+)$')
if tonumber(plan_from) ~= from or tonumber(plan_to) ~= to then
	return {'unsettled'}
end
-- The pass was issued before now, so here it ends no sooner than in PostgreSQL.
local pass_until = NOW_MS + pass_seconds * 1000
batch_add({
	from = from, to = to, slot = slot, issued_ms = ARGV[5], pass_seconds = ARGV[7],
	pass_until = pass_until, claim_until = math.min(NOW_MS + claim_ms, pass_until)
}, tonumber(admitted))
redis.call('HSET', ROOM, 'serving', int(to), 'frozen', int(to))
redis.call('HDEL', ROOM, 'plan')
return {'ok'}
