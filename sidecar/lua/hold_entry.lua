-- SPDX-License-Identifier: PostgreSQL
-- Put before every hold_*.lua. {date}:seats is one hash: seat id -> state|user|fence|expires_ms,
-- beside the fields "gen" (missing: cold) and "fence" (the newest one given out). States: H hold,
-- P pending, S sold, B blocked, F freed: it only remembers the fence for a while, so that a late
-- older mark is known for what it is. What has expired counts as free, by the server's clock, and
-- needs nobody to remove it.
local RANK = {H = 0, P = 1, S = 2, B = 3, F = 3}

local function clock()
	local time = redis.call('TIME')
	local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
	return us, math.floor(us / 1000)
end

local function entry_parse(text)
	if not text then
		return nil
	end
	local state, user, fence, expires = string.match(text, '^(%u)|([^|]*)|(%d+)|(%d+)$')
	if not state or not RANK[state] then
		return nil
	end
	return {state = state, user = user, fence = tonumber(fence), expires = tonumber(expires)}
end

local function entry_text(state, user, fence, expires)
	return string.format('%s|%s|%.0f|%.0f', state, user, fence, expires)
end
