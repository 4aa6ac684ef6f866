-- SPDX-License-Identifier: PostgreSQL
--
-- Takes away what a run reserved, so that every run begins with the same house.
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM concert.reservation WHERE concert_date_id = :'date' AND status = 'pending';
DELETE FROM concert.history WHERE concert_date_id = :'date';
COMMIT;
VACUUM concert.reservation, concert.history;
