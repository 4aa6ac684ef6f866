-- SPDX-License-Identifier: PostgreSQL
-- Put before every room_*.lua and batch_*.lua. All keys of a date carry its tag:
--   {date}:room           hash of
--       gen               missing: cold
--       slot_ms           width of a presence slot
--       tail, leased      the last number given out, the last that may be
--       spare_from, _to   a leased range behind a gap
--       serving           the last number that was decided on
--       frozen            the last number under a plan: presence up to it no longer changes
--       plan              from|to|admitted|slot, between plan and commit
--       unclaimed         admitted people who may still claim
--       tokens, tokens_ms the rate's bucket and when it was filled
--   {date}:places:BUCKET  hash: user (16 bytes) -> number; 0 once the place was given up
--   {date}:here:SLOT      presence bitmap: bit number
--   {date}:batches        zset by last number:
--                         from|to|slot|issued_ms|pass_seconds|pass_until_ms|claim_until_ms,
--                         slot "-" when nobody knows any more who was present
--   {date}:open           zset: a batch's last number, by claim_until_ms
--   {date}:unclaimed      hash: a batch's last number -> people who may still claim
--   {date}:active         zset: number:user, by the end of the pass
-- ARGV[1] is the tag, ARGV[2] the life of keys in ms. Times are the server's.
local TAG, LIFE_MS = ARGV[1], ARGV[2]
local ROOM, BATCHES, OPEN = TAG .. ':room', TAG .. ':batches', TAG .. ':open'
local UNCLAIMED, ACTIVE = TAG .. ':unclaimed', TAG .. ':active'

local function clock()
	local time = redis.call('TIME')
	return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local NOW_MS = clock()

local function int(number)
	return string.format('%.0f', number)
end

-- The named fields of the room as numbers (0 where there is none); nil while it is cold.
local function room_read(...)
	local found = redis.call('HMGET', ROOM, 'gen', ...)
	if not found[1] then
		return nil
	end
	for i = 2, #found do
		found[i] = tonumber(found[i] or '0')
	end
	return unpack(found, 2)
end

local function here_key(slot)
	return TAG .. ':here:' .. int(slot)
end

-- Present in this slot and the next: a slot's bitmap has all who were heard in it or in the one
-- before.
local function here_set(slot_ms, number)
	local slot = math.floor(NOW_MS / slot_ms)
	for _, key in ipairs({here_key(slot), here_key(slot + 1)}) do
		redis.call('SETBIT', key, int(number), 1)
		redis.call('PEXPIRE', key, int(4 * slot_ms), 'NX')
	end
end

-- 16 bytes instead of 36: the index is all that a waiting person costs but some bits.
local function user_bytes(user)
	local hex = string.gsub(user, '-', '')
	return struct.pack('>I4I4I4I4',
		tonumber(string.sub(hex, 1, 8), 16), tonumber(string.sub(hex, 9, 16), 16),
		tonumber(string.sub(hex, 17, 24), 16), tonumber(string.sub(hex, 25, 32), 16))
end

local function session_name(number, user)
	return int(number) .. ':' .. user
end

local function batch_parse(text)
	local from, to, slot, issued, seconds, pass, claim =
		string.match(text, '^(%d+)|(%d+)|([%d-]+)|(%d+)|(%d+)|(%d+)|(%d+)$')
	return {
		from = tonumber(from), to = tonumber(to), slot = slot, issued_ms = issued,
		pass_seconds = seconds, pass_until = tonumber(pass), claim_until = tonumber(claim)
	}
end

local function batch_of(number)
	local found = redis.call('ZRANGEBYSCORE', BATCHES, int(number), '+inf', 'LIMIT', 0, 1)
	local batch = found[1] and batch_parse(found[1])
	return batch and batch.from <= number and batch.pass_until > NOW_MS and batch or nil
end

local function batch_add(batch, admitted)
	redis.call('ZADD', BATCHES, int(batch.to), table.concat({
		int(batch.from), int(batch.to), batch.slot, batch.issued_ms, batch.pass_seconds,
		int(batch.pass_until), int(batch.claim_until)
	}, '|'))
	if admitted > 0 then
		redis.call('ZADD', OPEN, int(batch.claim_until), int(batch.to))
		redis.call('HSET', UNCLAIMED, int(batch.to), int(admitted))
		redis.call('HINCRBY', ROOM, 'unclaimed', int(admitted))
	end
	for _, key in ipairs({BATCHES, OPEN, UNCLAIMED}) do
		redis.call('PEXPIRE', key, LIFE_MS)
	end
end

-- What a number that was decided on is worth to its user: 'session', 'open' (may claim) or nil;
-- and its batch.
local function admission_of(number, user)
	local batch = batch_of(number)
	if not batch then
		return nil
	end
	local ends = redis.call('ZSCORE', ACTIVE, session_name(number, user))
	if ends then
		if tonumber(ends) > NOW_MS then
			return 'session', batch
		end
		return nil
	end
	local left = tonumber(redis.call('HGET', UNCLAIMED, int(batch.to)) or '0')
	if batch.claim_until <= NOW_MS or left <= 0 then
		return nil
	end
	local here = batch.slot ~= '-' and here_key(tonumber(batch.slot))
	if here and redis.call('GETBIT', here, int(number)) == 0 then
		return nil
	end
	return 'open', batch
end

local function unclaimed_take(batch)
	redis.call('HINCRBY', UNCLAIMED, int(batch.to), -1)
	redis.call('HINCRBY', ROOM, 'unclaimed', -1)
end
