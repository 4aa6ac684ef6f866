-- SPDX-License-Identifier: PostgreSQL
--
-- Wallets 1 to :wallets (accounts aaaa…n of users bbbb…n), each with plenty; concerts 0 to :concerts (dates dddd…n), whose
-- revenue accounts are eeee…n; of date 0 :hot_bookings pending bookings (ffff…n, of seat 0000…n), of the others together as
-- many after them, and :seats free seats after those. And account cccc…0, without a floor, and cccc…1, with one: :transfers
-- transfers each, one a second. What pgbench names it can only count. Written straight to the tables, without the checks
-- of their foreign keys, because there are millions.
BEGIN;
CREATE EXTENSION concert;
CREATE SCHEMA rival;
SET LOCAL session_replication_role = replica;
INSERT INTO concert.account (id, kind, name, currency) VALUES (lpad('0', 32, 'c')::uuid, 'funding', 'bench', 'PTS');
INSERT INTO concert.account (id, kind, name, currency, floor) VALUES (lpad('1', 32, 'c')::uuid, 'fees', 'bench', 'PTS', 0);
INSERT INTO concert.account (id, kind, owner_id, currency, floor)
SELECT lpad(n::text, 32, 'a')::uuid, 'wallet', lpad(n::text, 32, 'b')::uuid, 'PTS', 0 FROM generate_series(1, :wallets) AS n;
INSERT INTO concert.concert (id, name) SELECT lpad(n::text, 32, 'c')::uuid, 'Concert ' || n FROM generate_series(0, :concerts) AS n;
CREATE TEMP TABLE house AS
SELECT n, lpad(n::text, 32, 'd')::uuid AS date, lpad(n::text, 32, 'e')::uuid AS section,
       concert.create_concert_date(lpad(n::text, 32, 'c')::uuid, now() + interval '1 year', seats_per_user_max => 1000) AS made
FROM generate_series(0, :concerts) AS n;
UPDATE concert.concert_date SET id = date FROM house WHERE id = made;
INSERT INTO concert.section (id, concert_date_id, name, kind, price, currency) SELECT section, date, 'Stalls', 'seated', 5, 'PTS' FROM house;
INSERT INTO concert.account (id, kind, owner_id, currency)
SELECT lpad(n::text, 32, 'e')::uuid, 'revenue', lpad(n::text, 32, 'c')::uuid, 'PTS' FROM generate_series(0, :concerts) AS n;

CREATE TEMP TABLE place AS
SELECT n, CASE WHEN n / :hot_bookings = 1 THEN 1 + n % :concerts ELSE 0 END AS house, n < 2 * :hot_bookings AS is_booked
FROM generate_series(0, 2 * :hot_bookings + :seats - 1) AS n;
INSERT INTO concert.seat (id, concert_date_id, section_id, "row", col, label)
SELECT lpad(place.n::text, 32, '0')::uuid, date, section, 1 + place.n / 1000, 1 + place.n % 1000, place.n::text
FROM place JOIN house ON house.n = place.house ORDER BY place.n;
INSERT INTO concert.reservation (booking_id, concert_date_id, seat_id, user_id, status, price, currency, fence, created_at,
                                 expires_at, expires_at_max)
SELECT lpad(place.n::text, 32, 'f')::uuid, date, lpad(place.n::text, 32, '0')::uuid,
       lpad((1 + place.n % :wallets)::text, 32, 'b')::uuid, 'pending', 5, 'PTS', 1, now() + interval '1 day',
       now() + interval '1 day', now() + interval '1 day'
FROM place JOIN house ON house.n = place.house WHERE is_booked ORDER BY place.n;

-- The wallets' plenty, then a second for each transfer of the long accounts: there and back.
INSERT INTO concert.transfer (debit_account_id, credit_account_id, amount, currency, kind, external_ref, created_at)
SELECT lpad('0', 32, 'c')::uuid, lpad(n::text, 32, 'a')::uuid, 1000000000, 'PTS', 'charge', n::text, now() - interval '1 year'
FROM generate_series(1, :wallets) AS n ORDER BY n;
INSERT INTO concert.transfer (debit_account_id, credit_account_id, amount, currency, kind, created_at)
SELECT lpad((n % 3 / 2)::text, 32, 'c')::uuid, lpad((1 - n % 3 / 2)::text, 32, 'c')::uuid, 1 + n % 7, 'PTS', 'transfer',
       now() - (:transfers - n) * interval '1 second'
FROM generate_series(1, :transfers) AS n ORDER BY n;
INSERT INTO concert.account_balance (account_id, debits, credits)
SELECT a.id, coalesce((SELECT sum(amount) FROM concert.transfer WHERE debit_account_id = a.id), 0),
       coalesce((SELECT sum(amount) FROM concert.transfer WHERE credit_account_id = a.id), 0)
FROM concert.account AS a WHERE a.floor IS NOT NULL;
COMMIT;
SELECT concert.checkpoint_accounts(10000) \g /dev/null
-- Of an account with a floor the transfers write the checkpoints, ten when two hundred more are counted.
DO $$
DECLARE
    known bigint := -1;
    now_known bigint := 0;
BEGIN
    WHILE now_known > known LOOP
        known := now_known;
        UPDATE concert.account_balance SET transfers = 199 WHERE account_id = lpad('1', 32, 'c')::uuid;
        PERFORM concert.transfer(lpad('0', 32, 'c')::uuid, lpad('1', 32, 'c')::uuid, 1);
        SELECT count(*) INTO now_known FROM concert.account_checkpoint WHERE account_id = lpad('1', 32, 'c')::uuid;
    END LOOP;
END
$$;
