-- Over the edge of the ring of requests: in whichever part an answer is kept, it is given again, by reserve() and
-- by the ledger, a refusal too, until it is seven days old.
\getenv source PG_ABS_SRCDIR
\set hall :source '/sql/hall.psql'
\i :hall

SET session_replication_role = replica;
TRUNCATE concert.request_0, concert.request_1, concert.request_2, concert.request_3;
RESET session_replication_role;
SELECT r::text AS first FROM concert.reserve(:'date', ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r \gset
SELECT id AS ann_wallet FROM concert.account WHERE owner_id = :'ann' \gset
SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'fees ' || gen_random_uuid()) AS fees, gen_random_uuid() AS ring \gset
SELECT t::text AS moved FROM concert.transfer(:'ann_wallet', :'fees', 1, idempotency_key => 'moved ' || :'ring') AS t \gset
SELECT t::text AS missing FROM concert.transfer(:'ann_wallet', :'fees', 1000000, idempotency_key => 'missing ' || :'ring') AS t \gset
CREATE FUNCTION pg_temp.keep_in(part int, of uuid, ring text) RETURNS bigint LANGUAGE plpgsql SET session_replication_role = replica AS $$
DECLARE kept bigint;
BEGIN
    CREATE TEMP TABLE moving (LIKE concert.request_0);
    FOR n IN 0..3 LOOP
        EXECUTE format('WITH gone AS (DELETE FROM concert.request_%s WHERE user_id = %L OR key LIKE %L RETURNING *) INSERT INTO moving TABLE gone', n, of, '%' || ring);
    END LOOP;
    EXECUTE format('INSERT INTO concert.request_%s SELECT user_id, operation, key, digest, result, now() - interval ''6 days 23 hours'' FROM moving', part);
    GET DIAGNOSTICS kept = ROW_COUNT;
    DROP TABLE moving;
    RETURN kept;
END
$$;
PREPARE again (text, text, text, text) AS
    SELECT (SELECT r::text = $1 FROM concert.reserve($2::uuid, ARRAY[:'a1', :'a2']::uuid[], :'ann', idempotency_key => 'key 1') AS r) AS reserved,
           (SELECT t::text = $3 FROM concert.transfer(:'ann_wallet', :'fees', 1, idempotency_key => 'moved ' || :'ring') AS t) AS moved,
           (SELECT t::text = $4 FROM concert.transfer(:'ann_wallet', :'fees', 1000000, idempotency_key => 'missing ' || :'ring') AS t) AS missing;
SELECT pg_temp.keep_in(0, :'ann', :'ring') > 2 AS kept;
EXECUTE again (:'first', :'date', :'moved', :'missing');
SELECT pg_temp.keep_in(1, :'ann', :'ring') > 2 AS kept;
EXECUTE again (:'first', :'date', :'moved', :'missing');
SELECT pg_temp.keep_in(2, :'ann', :'ring') > 2 AS kept;
EXECUTE again (:'first', :'date', :'moved', :'missing');
SELECT pg_temp.keep_in(3, :'ann', :'ring') > 2 AS kept;
EXECUTE again (:'first', :'date', :'moved', :'missing');
SELECT count(*) AS once FROM concert.transfer WHERE credit_account_id = :'fees';
\set VERBOSITY sqlstate
SELECT ok FROM concert.transfer(:'ann_wallet', :'fees', 2, idempotency_key => 'moved ' || :'ring');
\set VERBOSITY default
UPDATE concert.request_3 SET created_at = now() - interval '7 days' WHERE key = 'moved ' || :'ring';
SELECT t::text <> :'moved' AS another, ok FROM concert.transfer(:'ann_wallet', :'fees', 1, idempotency_key => 'moved ' || :'ring') AS t;
SELECT count(*) AS twice FROM concert.transfer WHERE credit_account_id = :'fees';
