-- SPDX-License-Identifier: PostgreSQL
-- Chooses whom to admit next: the shortest range behind serving with as many present people as the
-- cap and the rate leave room for. Who is absent in it is walked past. Presence up to its end is
-- frozen until the plan is settled.
-- KEYS: room   ARGV: tag, life ms, cap, people per second, claim ms
-- -> cold | unsettled (a plan is under way) |
--    none or plan, waiting, present, active, lost [, from, to, admitted]
-- What has lapsed is counted out first; active counts sessions and those who may still claim.
local cap, rate, claim_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local serving, slot_ms, tail, tokens, tokens_ms =
	room_read('serving', 'slot_ms', 'tail', 'tokens', 'tokens_ms')
local lost = 0

if not serving then
	return {'cold'}
end
if redis.call('HEXISTS', ROOM, 'plan') == 1 then
	return {'unsettled'}
end

redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(NOW_MS))
for _, to in ipairs(redis.call('ZRANGEBYSCORE', OPEN, '-inf', int(NOW_MS))) do
	local left = tonumber(redis.call('HGET', UNCLAIMED, to) or '0')
	if left > 0 then
		lost = lost + left
		redis.call('HINCRBY', ROOM, 'unclaimed', int(-left))
	end
	redis.call('HDEL', UNCLAIMED, to)
	redis.call('ZREM', OPEN, to)
end
local oldest = redis.call('ZRANGE', BATCHES, 0, 0)[1]
while oldest and batch_parse(oldest).pass_until <= NOW_MS do
	redis.call('ZREM', BATCHES, oldest)
	oldest = redis.call('ZRANGE', BATCHES, 0, 0)[1]
end

-- Half a second's worth may be saved up.
tokens = math.min(math.max(1, rate / 2), tokens + rate * math.max(0, NOW_MS - tokens_ms) / 1000)
local active = redis.call('ZCARD', ACTIVE) + tonumber(redis.call('HGET', ROOM, 'unclaimed') or '0')
local slot = math.floor(NOW_MS / slot_ms)
local here = here_key(slot)
local present = 0
if tail > serving then
	present = redis.call('BITCOUNT', here, int(serving + 1), int(tail), 'BIT')
end
local admitted = math.min(cap - active, math.floor(tokens), present)
local answer = {'none', int(tail - serving), int(present), int(active), int(lost)}

if admitted > 0 then
	local low, high = serving + admitted, tail
	while low < high do
		local middle = math.floor((low + high) / 2)
		if redis.call('BITCOUNT', here, int(serving + 1), int(middle), 'BIT') >= admitted then
			high = middle
		else
			low = middle + 1
		end
	end
	tokens = tokens - admitted
	redis.call('PEXPIRE', here, int(claim_ms + 6 * slot_ms), 'GT')
	redis.call('HSET', ROOM, 'frozen', int(low), 'plan',
		string.format('%s|%s|%s|%s', int(serving + 1), int(low), int(admitted), int(slot)))
	answer[1], answer[6], answer[7], answer[8] = 'plan', int(serving + 1), int(low), int(admitted)
end
redis.call('HSET', ROOM, 'tokens', string.format('%.3f', tokens), 'tokens_ms', int(NOW_MS))
redis.call('PEXPIRE', ROOM, LIFE_MS)
return answer
