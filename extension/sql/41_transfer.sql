-- Moving money: accounts that are opened, frozen and closed; transfers, journals and reversals; and
-- transfers in two phases. docs/ledger.md tells the whole story.

CREATE TYPE concert.transfer_answer AS (ok boolean, reason text, transfer_id uuid);
COMMENT ON TYPE concert.transfer_answer IS 'the answer of transfer(), reverse(), transfer_post() and transfer_void(): the transfer, if there is one';
CREATE TYPE concert.journal_answer AS (
    ok boolean, reason text, refused_leg integer, journal_id uuid, transfer_ids uuid[]);
COMMENT ON TYPE concert.journal_answer IS 'the answer of journal(): its transfers in the order of the legs, or the leg that was refused';
CREATE TYPE concert.pending_answer AS (
    ok boolean, reason text, transfer_id uuid, expires_at timestamptz);
COMMENT ON TYPE concert.pending_answer IS 'the answer of transfer_pending(): the pending transfer and when it lapses';

-- open_account(owner_id, currency, kind, floor, name, ...) opens an account and returns its id; the
-- one that is open already with the same owner or name, kind and currency is returned as it is.
-- Kinds: wallet (an owner, a floor), revenue (an owner, no floor), funding (a name, no floor),
-- refunds_payable and fees (an owner or a name, a floor or none). floor is from -10^15 to 0: what is
-- set aside counts; NULL is none, and such an account is credited by any number of sessions at once.
-- Writes account, account_balance. Errors: 22023 a bad currency, kind, owner, name or floor, or
-- another floor than that of the open account, 22004 a NULL currency or kind.
-- Example: SELECT concert.open_account(NULL, 'PTS', 'fees', NULL, 'service fees');
CREATE FUNCTION concert.open_account(owner_id uuid, currency text, kind text, floor bigint DEFAULT 0,
    name text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_open_account';
COMMENT ON FUNCTION concert.open_account(uuid, text, text, bigint, text)
    IS 'opens an account, or returns the one that is open';
REVOKE ALL ON FUNCTION concert.open_account(uuid, text, text, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.open_account(uuid, text, text, bigint, text) TO concert_sidecar;

-- freeze_account(account_id) stops all money to and from an account, until unfreeze_account(): moving
-- it is refused as frozen. What is set aside may still be let go. False when it is frozen already.
-- Writes account. Locks the account, for the caller alone. Errors: 22004 NULL, TK001.
-- Example: SELECT concert.freeze_account(:account);
CREATE FUNCTION concert.freeze_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_freeze_account';
COMMENT ON FUNCTION concert.freeze_account(uuid)
    IS 'stops all money to and from an account';
REVOKE ALL ON FUNCTION concert.freeze_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.freeze_account(uuid) TO concert_sidecar;

-- unfreeze_account(account_id) lets a frozen account move money again. False when it is not frozen.
-- Writes account. Locks the account, for the caller alone. Errors: 22004 NULL, TK001.
-- Example: SELECT concert.unfreeze_account(:account);
CREATE FUNCTION concert.unfreeze_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_unfreeze_account';
COMMENT ON FUNCTION concert.unfreeze_account(uuid)
    IS 'lets a frozen account move money again';
REVOKE ALL ON FUNCTION concert.unfreeze_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.unfreeze_account(uuid) TO concert_sidecar;

-- close_account(account_id) closes an account that holds nothing and has nothing set aside or to
-- come; its transfers stay. Moving money to or from it is then refused as unknown. Returns true.
-- Writes account, pending_resolution and account_balance (what lapsed). Locks the account, for the caller
-- alone. Errors: 22004 NULL, TK001, TK007 it holds something, is a source of which references were used, or the
-- revenue account of a concert that is live (not soft-deleted): what is on sale could not be paid without it.
-- A concert that is restored after that needs it opened again. 22003 what it holds is past bigint, as
-- account_balance() says of it: it does not close.
-- Example: SELECT concert.close_account(:account);
CREATE FUNCTION concert.close_account(account_id uuid)
    RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_close_account';
COMMENT ON FUNCTION concert.close_account(uuid)
    IS 'closes an account at zero';
REVOKE ALL ON FUNCTION concert.close_account(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.close_account(uuid) TO concert_sidecar;

-- transfer(debit_account_id, credit_account_id, amount, ...) moves an amount in minor units from one
-- account to another of the same currency. external_ref is good once for the debited account.
-- effective_at is when it counts from, if that is not now; balances go by when it is recorded.
-- Writes transfer, account_balance, request_N with a key. Locks request key, external reference,
-- accounts in id order (one without a floor shared with others who move its money).
-- Refusals: unknown, wrong_currency, frozen, insufficient_funds, already_resolved (the reference).
-- Errors: 22004 NULL, 22023 a bad amount, text or time, one account twice, 22003 past bigint, TK002
-- (a key is the operation's, whoever calls).
-- Example: SELECT * FROM concert.transfer(:wallet, :fees, 50, 'service fee');
CREATE FUNCTION concert.transfer(debit_account_id uuid, credit_account_id uuid, amount bigint,
    description text DEFAULT NULL, external_ref text DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer';
COMMENT ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text)
    IS 'moves an amount between two accounts';
REVOKE ALL ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer(uuid, uuid, bigint, text, text, timestamptz, text, text) TO concert_sidecar;

-- journal(debit_account_ids, credit_account_ids, amounts, ...) makes up to 100 transfers, all of them
-- or none; the arrays are of one length, one element a leg. Each leg is judged on what the legs
-- before it leave. Writes, locks, refusals and errors as transfer(), without references; refused_leg
-- counts from 1.
-- Example: SELECT * FROM concert.journal(ARRAY[:wallet, :wallet]::uuid[], ARRAY[:revenue, :fees]::uuid[], ARRAY[900, 100]);
CREATE FUNCTION concert.journal(debit_account_ids uuid[], credit_account_ids uuid[], amounts bigint[],
    description text DEFAULT NULL, effective_at timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.journal_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_journal';
COMMENT ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text)
    IS 'makes several transfers, all or none';
REVOKE ALL ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.journal(uuid[], uuid[], bigint[], text, timestamptz, text, text) TO concert_sidecar;

-- reverse(transfer_id, ...) moves the amount of a transfer back, once: the reversal is a transfer the
-- other way that names it. Writes transfer, account_balance, request_N with a key. Locks request key,
-- accounts in id order, the transfer.
-- Refusals: unknown, already_resolved (reversed before), frozen, insufficient_funds.
-- Errors: 22004 NULL, 22023 a bad text, or a transfer that pays a booking, 40001, TK002.
-- Example: SELECT * FROM concert.reverse(:transfer, 'charged in error');
CREATE FUNCTION concert.reverse(transfer_id uuid, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_reverse';
COMMENT ON FUNCTION concert.reverse(uuid, text, text, text)
    IS 'moves the amount of a transfer back, once';
REVOKE ALL ON FUNCTION concert.reverse(uuid, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.reverse(uuid, text, text, text) TO concert_sidecar;

-- transfer_pending(debit_account_id, credit_account_id, amount, expires_in, ...) sets an amount aside
-- for expires_in seconds: it is no longer available, and not yet moved. transfer_post() moves it,
-- transfer_void() lets it go, and so does the end of its time, by itself.
-- Writes pending_transfer, account_balance, request_N with a key. Locks and refusals as transfer().
-- Errors: 22004 NULL, 22023 a bad amount, text or number of seconds (1 to 366 days), one account
-- twice, TK002. Example: SELECT * FROM concert.transfer_pending(:wallet, :revenue, 1000, 300);
CREATE FUNCTION concert.transfer_pending(debit_account_id uuid, credit_account_id uuid, amount bigint,
    expires_in integer, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.pending_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_pending';
COMMENT ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text)
    IS 'sets an amount aside, to be posted or voided';
REVOKE ALL ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_pending(uuid, uuid, bigint, integer, text, text, text) TO concert_sidecar;

-- transfer_post(transfer_id, amount, ...) moves what a pending transfer set aside, or a part of it: the
-- rest returns. Writes transfer, pending_resolution, account_balance, request_N with a key. Locks
-- request key, accounts in id order, the pending transfer.
-- Refusals: unknown, already_resolved, expired, insufficient_funds (more than was set aside), frozen.
-- Errors: 22004 NULL, 22023 a bad amount, or one that a payment set aside, 40001, TK002.
-- Example: SELECT * FROM concert.transfer_post(:pending, 700);
CREATE FUNCTION concert.transfer_post(transfer_id uuid, amount bigint DEFAULT NULL,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_post';
COMMENT ON FUNCTION concert.transfer_post(uuid, bigint, text, text)
    IS 'moves what a pending transfer set aside';
REVOKE ALL ON FUNCTION concert.transfer_post(uuid, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_post(uuid, bigint, text, text) TO concert_sidecar;

-- transfer_void(transfer_id, ...) lets go of what a pending transfer set aside. Writes
-- pending_resolution, account_balance, request_N with a key. Locks as transfer_post().
-- Refusals: unknown, already_resolved, expired. Errors: 22004 NULL, 22023 one that a payment set aside, 40001, TK002.
-- Example: SELECT * FROM concert.transfer_void(:pending);
CREATE FUNCTION concert.transfer_void(transfer_id uuid,
    idempotency_key text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS concert.transfer_answer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_transfer_void';
COMMENT ON FUNCTION concert.transfer_void(uuid, text, text)
    IS 'lets go of what a pending transfer set aside';
REVOKE ALL ON FUNCTION concert.transfer_void(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.transfer_void(uuid, text, text) TO concert_sidecar;

-- lapse_transfers(max_accounts) writes down which pending transfers have lapsed, for so many accounts
-- (1 to 10000) at a time; returns for how many it did. Nothing waits for it: what has lapsed is
-- available without it. Writes pending_resolution, account_balance. Locks the accounts in id order.
-- Errors: 22004 NULL, 22023. Example: SELECT concert.lapse_transfers(100);
CREATE FUNCTION concert.lapse_transfers(max_accounts integer)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_lapse_transfers';
COMMENT ON FUNCTION concert.lapse_transfers(integer)
    IS 'writes down which pending transfers have lapsed';
REVOKE ALL ON FUNCTION concert.lapse_transfers(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.lapse_transfers(integer) TO concert_sidecar;

-- checkpoint_accounts(max_checkpoints) sums up accounts without a floor, a thousand transfers a
-- checkpoint, so that reading them stays cheap; returns how many checkpoints it wrote (up to 10000).
-- Writes account_checkpoint. Waits for the transactions that are moving money, and for a VACUUM of
-- the table; nobody waits for it. Errors: 22004 NULL, 22023. Example: SELECT concert.checkpoint_accounts(100);
CREATE FUNCTION concert.checkpoint_accounts(max_checkpoints integer)
    RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_checkpoint_accounts';
COMMENT ON FUNCTION concert.checkpoint_accounts(integer)
    IS 'sums up accounts without a floor, a thousand transfers a checkpoint';
REVOKE ALL ON FUNCTION concert.checkpoint_accounts(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.checkpoint_accounts(integer) TO concert_sidecar;
