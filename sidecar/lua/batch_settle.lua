-- SPDX-License-Identifier: PostgreSQL
-- Makes the room agree with PostgreSQL's record: fills a cold one, and, for the copy that leads
-- (lead = 1), ends a plan whose outcome was not known and takes over batches that Redis never
-- heard of or forgot.
-- KEYS: room
-- ARGV: tag, life ms, lead, slot ms, leased to, served to, batches (JSON), claim ms, pass seconds
-- -> ok
-- Of a batch that is known only from its record nobody knows who was present or has claimed: all
-- its admitted people count until their passes end, and as many of its numbers, whoever asks
-- first, may (again) fetch a pass.
local lead, slot_ms = ARGV[3] == '1', ARGV[4]
local leased_to, served_to, batches = tonumber(ARGV[5]), tonumber(ARGV[6]), cjson.decode(ARGV[7])
local claim_ms, pass_seconds = tonumber(ARGV[8]), ARGV[9]
local serving = room_read('serving')
local forgot = false

if not serving then
	redis.call('DEL', ROOM, BATCHES, OPEN, UNCLAIMED, ACTIVE)
	redis.call('HSET', ROOM, 'gen', '1', 'slot_ms', slot_ms, 'tail', int(leased_to),
		'leased', int(leased_to), 'serving', '0', 'frozen', '0', 'unclaimed', '0',
		'tokens', '0', 'tokens_ms', int(NOW_MS))
	serving, lead = 0, true
elseif not lead then
	return {'ok'}
end

local plan_from, plan_to, _, plan_slot =
	string.match(redis.call('HGET', ROOM, 'plan') or '', '^(%d+)|(%d+)|(%d+)|(%d+)$')
for _, batch in ipairs(batches) do
	if batch.to > serving and batch.pass_remaining_ms > 0 then
		local pass_until = NOW_MS + batch.pass_remaining_ms
		local entry = {
			from = batch.from, to = batch.to, slot = '-', issued_ms = int(batch.issued_at_ms),
			pass_seconds = pass_seconds, pass_until = pass_until, claim_until = pass_until
		}
		local planned = batch.from == tonumber(plan_from) and batch.to == tonumber(plan_to)
		local here = planned and here_key(tonumber(plan_slot))
		if planned and redis.call('EXISTS', here) == 1 then
			entry.slot, entry.claim_until = plan_slot, math.min(NOW_MS + claim_ms, pass_until)
			redis.call('PEXPIRE', here, int(claim_ms + 6 * tonumber(slot_ms)), 'GT')
		else
			forgot = true
		end
		batch_add(entry, batch.admitted)
	end
end
serving = math.max(serving, served_to)
redis.call('HDEL', ROOM, 'plan')
redis.call('HSET', ROOM, 'serving', int(serving), 'frozen', int(serving))
-- A Redis that forgot batches may have forgotten numbers as well: go on behind all that were ever
-- leased.
if forgot or room_read('tail') < serving then
	redis.call('HSET', ROOM, 'tail', int(leased_to), 'leased', int(leased_to))
	redis.call('HDEL', ROOM, 'spare_from', 'spare_to')
end
redis.call('PEXPIRE', ROOM, LIFE_MS)
return {'ok'}
