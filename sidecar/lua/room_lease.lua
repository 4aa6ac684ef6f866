-- SPDX-License-Identifier: PostgreSQL
-- Adds a range of numbers that PostgreSQL has leased out. Copies of the daemon may bring theirs in
-- any order: a range behind a gap waits, one that is no longer ahead is dropped, and its numbers
-- are simply never given out.
-- KEYS: room   ARGV: tag, life ms, from, to   -> cold | ok
local from, to = tonumber(ARGV[3]), tonumber(ARGV[4])
local tail, leased, spare_from, spare_to = room_read('tail', 'leased', 'spare_from', 'spare_to')

if not tail then
	return {'cold'}
end
if from == leased + 1 then
	leased = to
elseif from > leased and tail >= leased and spare_to == 0 then
	tail, leased = from - 1, to
elseif spare_to > 0 and from == spare_to + 1 then
	spare_to = to
elseif from > leased and (spare_to == 0 or from < spare_from) then
	spare_from, spare_to = from, to
end
if spare_to > 0 and spare_from <= leased + 1 then
	leased, spare_to = math.max(leased, spare_to), 0
end
redis.call('HSET', ROOM, 'tail', int(tail), 'leased', int(leased))
if spare_to > 0 then
	redis.call('HSET', ROOM, 'spare_from', int(spare_from), 'spare_to', int(spare_to))
else
	redis.call('HDEL', ROOM, 'spare_from', 'spare_to')
end
return {'ok'}
