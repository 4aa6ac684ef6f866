-- SPDX-License-Identifier: PostgreSQL
-- Ends a rebuild: the hash is warm.
-- KEYS: seats   ARGV: life of the seats key in ms
redis.call('HSET', KEYS[1], 'gen', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
