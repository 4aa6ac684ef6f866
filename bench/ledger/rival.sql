-- SPDX-License-Identifier: PostgreSQL
--
-- The rivals. rival.till is the one row that the classic way of counting revenue changes with every payment.
-- rival.transfer() is the same work as concert.transfer(), as well as PL/pgSQL does it: the tables are concert's, with their
-- checks, indexes and foreign keys; both accounts are read and their balance rows locked by one query, in the order of their
-- ids, what it refuses is an answer, and both balances are changed by one statement. A pending transfer that has lapsed is
-- looked for where something is set aside, as there; keys and references, which the benchmark does not use, it has not.
CREATE TABLE rival.till (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO rival.till VALUES (1, 0);

CREATE TABLE rival.account (LIKE concert.account INCLUDING ALL);
CREATE TABLE rival.account_balance (LIKE concert.account_balance INCLUDING ALL,
    FOREIGN KEY (account_id) REFERENCES rival.account (id) ON UPDATE CASCADE ON DELETE RESTRICT) WITH (fillfactor = 70);
CREATE TABLE rival.transfer (LIKE concert.transfer INCLUDING ALL,
    FOREIGN KEY (debit_account_id) REFERENCES rival.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    FOREIGN KEY (credit_account_id) REFERENCES rival.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    FOREIGN KEY (reverses_id) REFERENCES rival.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    FOREIGN KEY (pending_id) REFERENCES concert.pending_transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT);
CREATE SEQUENCE rival.transfer_seq;
ALTER TABLE rival.transfer ALTER seq SET DEFAULT nextval('rival.transfer_seq');
INSERT INTO rival.account SELECT * FROM concert.account;
INSERT INTO rival.account_balance SELECT * FROM concert.account_balance;

CREATE FUNCTION rival.transfer(debit_id uuid, credit_id uuid, amount bigint, description text DEFAULT NULL,
    correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    now_at timestamptz;
    held record;
    debit record;
    credit record;
    answer concert.transfer_answer;
BEGIN
    IF debit_id IS NULL OR credit_id IS NULL OR amount IS NULL OR amount < 1 OR debit_id = credit_id THEN
        RAISE EXCEPTION 'bad transfer' USING ERRCODE = '22023';
    END IF;
    FOR held IN
        SELECT a.id, a.currency, a.frozen_at, a.floor, b.debits, b.credits, b.debits_pending, b.lapsed_through
        FROM rival.account_balance AS b JOIN rival.account AS a ON a.id = b.account_id
        WHERE b.account_id IN (debit_id, credit_id) AND a.deleted_at IS NULL ORDER BY b.account_id FOR NO KEY UPDATE OF b
    LOOP
        IF held.id = debit_id THEN
            debit := held;
        ELSE
            credit := held;
        END IF;
    END LOOP;
    IF debit IS NULL THEN
        SELECT a.id, a.currency, a.frozen_at, a.floor INTO debit
        FROM rival.account AS a WHERE a.id = debit_id AND a.floor IS NULL AND a.deleted_at IS NULL;
    END IF;
    IF credit IS NULL THEN
        SELECT a.id, a.currency, a.frozen_at, a.floor INTO credit
        FROM rival.account AS a WHERE a.id = credit_id AND a.floor IS NULL AND a.deleted_at IS NULL;
    END IF;
    now_at := clock_timestamp();
    IF debit IS NULL OR credit IS NULL THEN
        answer.reason := 'unknown';
    ELSIF debit.currency <> credit.currency THEN
        answer.reason := 'wrong_currency';
    ELSIF debit.frozen_at IS NOT NULL OR credit.frozen_at IS NOT NULL THEN
        answer.reason := 'frozen';
    ELSIF debit.floor IS NOT NULL THEN
        IF debit.debits_pending > 0 THEN
            debit.debits_pending := debit.debits_pending - (
                SELECT coalesce(sum(p.amount), 0) FROM concert.pending_transfer AS p
                WHERE p.debit_account_id = debit_id AND p.expires_at > debit.lapsed_through AND p.expires_at <= now_at
                  AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id));
        END IF;
        IF debit.credits - debit.debits - debit.debits_pending - debit.floor < amount THEN
            answer.reason := 'insufficient_funds';
        END IF;
    END IF;
    answer.ok := answer.reason IS NULL;
    IF answer.ok THEN
        answer.transfer_id := concert.uuid7();
        INSERT INTO rival.transfer (id, debit_account_id, credit_account_id, amount, currency, kind, created_at, description, correlation_id)
        VALUES (answer.transfer_id, debit_id, credit_id, amount, debit.currency, 'transfer', now_at, description, correlation_id);
        UPDATE rival.account_balance AS b
        SET debits = b.debits + CASE WHEN b.account_id = debit_id THEN amount ELSE 0 END,
            credits = b.credits + CASE WHEN b.account_id = credit_id THEN amount ELSE 0 END
        WHERE b.account_id IN (debit_id, credit_id);
    END IF;
    RETURN answer;
END
$$;
VACUUM ANALYZE;
