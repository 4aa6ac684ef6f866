-- The points ledger and payments. A transfer has one debit and one credit account, so the books
-- balance by construction. An account with a floor has exactly one balance row, judged under the
-- account's lock; one without is credited append-only and summed, so that a revenue account which
-- every sale credits is never a row that every sale waits for.

CREATE TABLE concert.account (
    id         uuid        NOT NULL DEFAULT concert.uuid7(),
    kind       text        NOT NULL,
    owner_id   uuid,
    name       text,
    currency   text        NOT NULL,
    floor      bigint,
    frozen_at  timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_kind CHECK (kind IN ('wallet', 'revenue', 'funding', 'refunds_payable', 'fees')),
    CONSTRAINT account_owner CHECK (num_nonnulls(owner_id, name) = 1
        AND (kind NOT IN ('wallet', 'revenue') OR owner_id IS NOT NULL)
        AND (kind <> 'funding' OR name IS NOT NULL)),
    CONSTRAINT account_floor CHECK (CASE kind WHEN 'wallet' THEN floor IS NOT NULL
        WHEN 'revenue' THEN floor IS NULL WHEN 'funding' THEN floor IS NULL ELSE true END),
    CONSTRAINT account_currency CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE UNIQUE INDEX account_of_owner ON concert.account (owner_id, kind, currency)
    WHERE owner_id IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX account_of_name ON concert.account (name, kind, currency)
    WHERE name IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX account_without_floor ON concert.account (id) WHERE floor IS NULL;
COMMENT ON TABLE concert.account IS 'a balance in one currency: a user''s wallet, a concert''s revenue, a named source of funds, refunds to be paid, fees';

CREATE TABLE concert.account_balance (
    account_id uuid   NOT NULL,
    debits     bigint NOT NULL,
    credits    bigint NOT NULL,
    debits_pending bigint NOT NULL DEFAULT 0,
    lapsed_through timestamptz NOT NULL DEFAULT '-infinity',
    transfers bigint NOT NULL DEFAULT 0,
    CONSTRAINT account_balance_pkey PRIMARY KEY (account_id),
    CONSTRAINT account_balance_account_fkey FOREIGN KEY (account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT account_balance_signs CHECK (debits >= 0 AND credits >= 0),
    CONSTRAINT account_balance_pending CHECK (debits_pending >= 0)
) WITH (fillfactor = 70);
CREATE INDEX account_balance_with_pending ON concert.account_balance (account_id) WHERE debits_pending > 0;
COMMENT ON TABLE concert.account_balance IS 'the balance of an account with a floor: credits minus debits, in minor units; debits_pending is set aside by transfers that pend, of which none that was to lapse by lapsed_through is unresolved; transfers counts those since it is counted';

CREATE TABLE concert.payment (
    id         uuid        NOT NULL DEFAULT concert.uuid7(),
    booking_id uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    method     text        NOT NULL,
    status     text        NOT NULL,
    amount     bigint      NOT NULL,
    currency   text        NOT NULL,
    created_at timestamptz NOT NULL,
    captured   bigint      NOT NULL DEFAULT 0,
    captured_currency text,
    refunded   bigint      NOT NULL DEFAULT 0,
    fee        bigint      NOT NULL DEFAULT 0,
    provider   text,
    provider_ref text,
    points     bigint      NOT NULL DEFAULT 0,
    pending_id uuid,
    attempts   integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    CONSTRAINT payment_pkey PRIMARY KEY (id),
    CONSTRAINT payment_method CHECK (method IN ('points', 'provider')),
    CONSTRAINT payment_status CHECK (status IN ('begun', 'authorized', 'captured', 'refunded', 'failed')
        AND (method <> 'points' OR status IN ('captured', 'refunded'))),
    CONSTRAINT payment_amount CHECK (amount >= 0),
    CONSTRAINT payment_captured CHECK (captured >= 0 AND (captured = 0 OR status IN ('captured', 'refunded'))),
    CONSTRAINT payment_left CHECK (refunded >= 0 AND fee >= 0 AND refunded <= captured - fee),
    CONSTRAINT payment_provider CHECK ((method = 'provider') = (provider IS NOT NULL)),
    CONSTRAINT payment_points CHECK (points >= 0 AND (points > 0) = (pending_id IS NOT NULL)),
    CONSTRAINT payment_due CHECK (next_attempt_at IS NULL OR status IN ('begun', 'authorized'))
);
CREATE INDEX payment_booking ON concert.payment (booking_id);
CREATE UNIQUE INDEX payment_open ON concert.payment (booking_id) WHERE status IN ('begun', 'authorized');
CREATE UNIQUE INDEX payment_pending ON concert.payment (pending_id) WHERE pending_id IS NOT NULL;
CREATE INDEX payment_due ON concert.payment (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON TABLE concert.payment IS 'money for one booking: amount is what was asked for, captured what came, of which refunded has been decided to go back and fee is kept; points is what was set aside beside it';

CREATE TABLE concert.pending_transfer (
    id                uuid        NOT NULL DEFAULT concert.uuid7(),
    debit_account_id  uuid        NOT NULL,
    credit_account_id uuid        NOT NULL,
    amount            bigint      NOT NULL,
    currency          text        NOT NULL,
    description       text,
    correlation_id    text,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    CONSTRAINT pending_transfer_pkey PRIMARY KEY (id),
    CONSTRAINT pending_transfer_debit_fkey FOREIGN KEY (debit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_transfer_credit_fkey FOREIGN KEY (credit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_transfer_two_accounts CHECK (debit_account_id <> credit_account_id),
    CONSTRAINT pending_transfer_amount CHECK (amount > 0)
);
CREATE INDEX pending_transfer_debit ON concert.pending_transfer (debit_account_id, expires_at);
CREATE INDEX pending_transfer_credit ON concert.pending_transfer (credit_account_id, expires_at);
COMMENT ON TABLE concert.pending_transfer IS 'an amount set aside until it is posted or voided, or until expires_at; append-only';

CREATE SEQUENCE concert.transfer_seq;
CREATE TABLE concert.transfer (
    id                uuid        NOT NULL DEFAULT concert.uuid7(),
    debit_account_id  uuid        NOT NULL,
    credit_account_id uuid        NOT NULL,
    amount            bigint      NOT NULL,
    currency          text        NOT NULL,
    kind              text        NOT NULL,
    payment_id        uuid,
    external_ref      text,
    created_at        timestamptz NOT NULL,
    seq               bigint      NOT NULL DEFAULT pg_catalog.nextval('concert.transfer_seq'),
    effective_at      timestamptz,
    description       text,
    correlation_id    text,
    reverses_id       uuid,
    pending_id        uuid,
    journal_id        uuid,
    CONSTRAINT transfer_pkey PRIMARY KEY (id),
    CONSTRAINT transfer_debit_fkey FOREIGN KEY (debit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_credit_fkey FOREIGN KEY (credit_account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_two_accounts CHECK (debit_account_id <> credit_account_id),
    CONSTRAINT transfer_amount CHECK (amount > 0),
    CONSTRAINT transfer_reverses_fkey FOREIGN KEY (reverses_id)
        REFERENCES concert.transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_pending_fkey FOREIGN KEY (pending_id)
        REFERENCES concert.pending_transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT transfer_kind CHECK (kind IN ('charge', 'payment', 'transfer', 'posting', 'reversal', 'refund', 'fee')),
    CONSTRAINT transfer_cause CHECK ((kind IN ('payment', 'refund', 'fee')) = (payment_id IS NOT NULL)
        AND (CASE kind WHEN 'posting' THEN pending_id IS NOT NULL ELSE pending_id IS NULL OR kind = 'payment' END)
        AND (kind = 'reversal') = (reverses_id IS NOT NULL)
        AND (kind <> 'charge' OR external_ref IS NOT NULL)
        AND (external_ref IS NULL OR kind IN ('charge', 'transfer')))
);
CREATE INDEX transfer_debit ON concert.transfer (debit_account_id, seq);
CREATE INDEX transfer_credit ON concert.transfer (credit_account_id, seq);
CREATE UNIQUE INDEX transfer_reverses ON concert.transfer (reverses_id) WHERE reverses_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_posts ON concert.transfer (pending_id) WHERE pending_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_external_ref ON concert.transfer (debit_account_id, external_ref)
    WHERE external_ref IS NOT NULL;
COMMENT ON TABLE concert.transfer IS 'an amount moved from the debited to the credited account; append-only. created_at is when it was recorded, effective_at when it counts from, if that is another time';

CREATE TABLE concert.pending_resolution (
    pending_id  uuid        NOT NULL,
    outcome     text        NOT NULL,
    amount      bigint      NOT NULL,
    transfer_id uuid,
    created_at  timestamptz NOT NULL,
    CONSTRAINT pending_resolution_pkey PRIMARY KEY (pending_id),
    CONSTRAINT pending_resolution_pending_fkey FOREIGN KEY (pending_id)
        REFERENCES concert.pending_transfer (id) ON UPDATE CASCADE ON DELETE RESTRICT,
    CONSTRAINT pending_resolution_outcome CHECK (outcome IN ('posted', 'voided', 'lapsed')),
    CONSTRAINT pending_resolution_transfer CHECK ((outcome = 'posted') = (transfer_id IS NOT NULL)
        AND (outcome = 'posted') = (amount > 0) AND amount >= 0)
);
COMMENT ON TABLE concert.pending_resolution IS 'how a pending transfer ended, once; one that lapsed may have no row yet; append-only';

CREATE TABLE concert.account_checkpoint (
    account_id uuid        NOT NULL,
    seq        bigint      NOT NULL,
    debits     numeric     NOT NULL,
    credits    numeric     NOT NULL,
    last_at    timestamptz NOT NULL,
    set_back_us bigint     NOT NULL,
    CONSTRAINT account_checkpoint_pkey PRIMARY KEY (account_id, seq),
    CONSTRAINT account_checkpoint_account_fkey FOREIGN KEY (account_id)
        REFERENCES concert.account (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX account_checkpoint_last ON concert.account_checkpoint (account_id, last_at, seq);
COMMENT ON TABLE concert.account_checkpoint IS 'the sum of an account''s transfers up to a number that no later one of it can be under; their latest time, and by how much one was at most recorded before the latest of an earlier checkpoint';

SELECT pg_catalog.pg_extension_config_dump('concert.account', '');
SELECT pg_catalog.pg_extension_config_dump('concert.account_balance', '');
SELECT pg_catalog.pg_extension_config_dump('concert.payment', '');
SELECT pg_catalog.pg_extension_config_dump('concert.transfer', '');
SELECT pg_catalog.pg_extension_config_dump('concert.transfer_seq', '');
SELECT pg_catalog.pg_extension_config_dump('concert.pending_transfer', '');
SELECT pg_catalog.pg_extension_config_dump('concert.pending_resolution', '');
SELECT pg_catalog.pg_extension_config_dump('concert.account_checkpoint', '');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account_balance
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.payment
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.payment
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.transfer
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');

CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.pending_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('End it by transfer_post() or transfer_void().');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.pending_transfer
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('End it by transfer_post() or transfer_void().');
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON concert.pending_resolution
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_update BEFORE UPDATE ON concert.pending_resolution
    FOR EACH ROW EXECUTE FUNCTION concert.refuse_change('Correct it by a new transfer.');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON concert.account_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION concert.refuse_delete();

-- Changing an id waits for whoever moves money of the account, as who moves money waits for it.
CREATE TRIGGER zz_guard_change BEFORE UPDATE ON concert.account
    FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at OR old.id <> new.id
          OR old.frozen_at IS DISTINCT FROM new.frozen_at OR old.floor IS DISTINCT FROM new.floor)
    EXECUTE FUNCTION concert.guard_change();

CREATE TYPE concert.charge_answer AS (
    ok boolean, reason text, transfer_id uuid, account_id uuid, balance bigint);
COMMENT ON TYPE concert.charge_answer IS 'the answer of charge_points(): the transfer and the wallet after it';
CREATE TYPE concert.pay_answer AS (
    ok boolean, reason text, payment_id uuid, amount bigint, currency text);
COMMENT ON TYPE concert.pay_answer IS 'the answer of pay(): the payment, or what it would have cost';

-- charge_points(...) credits a user's wallet from a named source; the first charge opens the wallet.
-- amount is in minor units; external_ref is the source's own reference and is good once in a source
-- and currency: a second charge with it is refused as already_resolved.
-- Writes account, account_balance, transfer, the outbox (point.charged), request_N with a key.
-- Locks request key, external reference, wallet (all waiting), the outbox key.
-- Refusals: already_resolved, frozen. Errors: 22004 NULL, 22023 a bad amount, currency, source or
-- reference, 22003 a balance past bigint, TK002.
-- Example: SELECT * FROM concert.charge_points(:user, 10000, 'PTS', 'box office', 'receipt 17');
CREATE FUNCTION concert.charge_points(user_id uuid, amount bigint, currency text, source text,
    external_ref text, idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.charge_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_charge_points';
COMMENT ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text)
    IS 'credits a user''s wallet from a named source';
REVOKE ALL ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.charge_points(uuid, bigint, text, text, text, text, text) TO concert_sidecar;

-- balance(user_id, currency) is what the user's wallet holds, in minor units; 0 without a wallet,
-- NULL for a NULL argument. Reads only, also on a standby. Raises nothing.
-- Example: SELECT concert.balance(:user);
CREATE FUNCTION concert.balance(user_id uuid, currency text DEFAULT 'PTS') RETURNS bigint
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT b.credits - b.debits
        FROM concert.account AS a
        JOIN concert.account_balance AS b ON b.account_id = a.id
        WHERE a.owner_id = balance.user_id AND a.kind = 'wallet'
          AND a.currency = balance.currency AND a.deleted_at IS NULL), 0);
END;
COMMENT ON FUNCTION concert.balance(uuid, text) IS 'what a user''s wallet holds';
REVOKE ALL ON FUNCTION concert.balance(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.balance(uuid, text) TO concert_reader;

-- pay(booking_id, user_id) pays a pending booking from the user's wallet and confirms every
-- reservation of it: debit the wallet, credit the concert's revenue, one commit.
-- Writes payment, transfer, account_balance, reservation, history, the outbox (reservation.confirmed,
-- payment.captured), request_N with a key. A payment by a provider that is open goes on: what it captures then is
-- refunded. Locks request key, booking, wallet (all
-- waiting), the concert's revenue (shared with every other sale), the outbox key.
-- Refusals: unknown, not_owner, expired, already_paid, already_resolved (cancelled),
-- insufficient_funds (amount and currency say what it costs), wrong_currency (a wallet, but of another
-- currency), frozen.
-- Errors: 22004 NULL, 22023 a bad key, TK001 the concert's revenue account is closed (close_account()), TK002.
-- Example: SELECT * FROM concert.pay(:booking, :user);
CREATE FUNCTION concert.pay(booking_id uuid, user_id uuid, idempotency_key text DEFAULT NULL,
    correlation_id text DEFAULT NULL) RETURNS concert.pay_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_pay';
COMMENT ON FUNCTION concert.pay(uuid, uuid, text, text) IS 'pays a booking from the user''s wallet and confirms it';
REVOKE ALL ON FUNCTION concert.pay(uuid, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.pay(uuid, uuid, text, text) TO concert_app;
