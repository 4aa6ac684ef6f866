-- SPDX-License-Identifier: PostgreSQL
-- Takes all seats for a user, or none and says why for every refused one.
-- KEYS: seats [, the memory of a refusal under this idempotency key]
-- ARGV: user, hold ms, life of the seats key in ms, digest of the seats, seat ids...
-- -> cold | mismatch | ok, lapsed, fence | refused, lapsed, (seat, reason, remaining ms)...
-- The user's own live hold is taken over with its fence and its end: clicking again prolongs
-- nothing. The user's own pending and sold seats pass, because only the database knows whether
-- this is the same request again.
local user, hold_ms, life_ms, digest = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local now_us, now_ms = clock()
local seats, answer, holds = {}, {}, {}
local lapsed, shared_fence = 0, nil

local remembered = KEYS[2] and redis.call('GET', KEYS[2])
if remembered then
	local words = {}
	for word in string.gmatch(remembered, '[^,]+') do
		words[#words + 1] = word
	end
	if table.remove(words, 1) ~= digest then
		return {'mismatch'}
	end
	return {'refused', '0', unpack(words)}
end
if redis.call('HEXISTS', KEYS[1], 'gen') == 0 then
	return {'cold'}
end

for i = 5, #ARGV do
	seats[#seats + 1] = ARGV[i]
end
local found = redis.call('HMGET', KEYS[1], unpack(seats))
for i, seat in ipairs(seats) do
	local entry = entry_parse(found[i])
	local live = entry and entry.expires > now_ms and entry.state ~= 'F'
	if entry and entry.state == 'H' and not live then
		redis.call('HDEL', KEYS[1], seat)
		lapsed = lapsed + 1
	end
	if not live then
		holds[#holds + 1] = {seat = seat, expires = now_ms + hold_ms}
		shared_fence = 0
	elseif entry.user == user and entry.state ~= 'B' then
		if entry.state == 'H' then
			holds[#holds + 1] = {seat = seat, expires = entry.expires}
		end
		if shared_fence == nil then
			shared_fence = entry.fence
		elseif shared_fence ~= entry.fence then
			shared_fence = 0
		end
	else
		local held = entry.state == 'H' or entry.state == 'P'
		answer[#answer + 1] = seat
		answer[#answer + 1] = held and 'held' or entry.state == 'S' and 'sold' or 'blocked'
		answer[#answer + 1] = held and string.format('%.0f', entry.expires - now_ms) or '0'
	end
end

if #answer > 0 then
	if KEYS[2] then
		redis.call('SET', KEYS[2], digest .. ',' .. table.concat(answer, ','), 'PX', hold_ms)
	end
	return {'refused', tostring(lapsed), unpack(answer)}
end
local fence = shared_fence
if fence == 0 then
	fence = math.max(tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') + 1, now_us)
	redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', fence))
end
for _, hold in ipairs(holds) do
	redis.call('HSET', KEYS[1], hold.seat, entry_text('H', user, fence, hold.expires))
end
redis.call('PEXPIRE', KEYS[1], life_ms)
return {'ok', tostring(lapsed), string.format('%.0f', fence)}
