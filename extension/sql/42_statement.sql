-- Reading the ledger: what an account holds, now and at a time, and how it came about. All of it reads
-- only, also on a standby, and is exact in any snapshot.

-- account_sums(account_id) is what was debited from and credited to an account in all: its balance
-- row, or where it has none the last checkpoint and the transfers since.
CREATE FUNCTION concert.account_sums(account_id uuid)
    RETURNS TABLE (debits numeric, credits numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN a.floor IS NULL THEN coalesce(c.debits, 0) + d.amount ELSE b.debits END,
           CASE WHEN a.floor IS NULL THEN coalesce(c.credits, 0) + e.amount ELSE b.credits END
    FROM concert.account AS a
    LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
    LEFT JOIN LATERAL (
        SELECT k.seq, k.debits, k.credits FROM concert.account_checkpoint AS k
        WHERE a.floor IS NULL AND k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS c ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE a.floor IS NULL AND t.debit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS d
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE a.floor IS NULL AND t.credit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS e
    WHERE a.id = account_sums.account_id;
END;
COMMENT ON FUNCTION concert.account_sums(uuid)
    IS 'internal: what was debited from and credited to an account in all';
REVOKE ALL ON FUNCTION concert.account_sums(uuid) FROM PUBLIC;

-- account_balance(account_id) is what an account holds, in minor units: what was moved, what is set
-- aside from it and is to come to it, and what is available above its floor (NULL without a floor).
-- No row for an account that does not exist or is closed. Errors: 22003 an amount past bigint, as an account
-- without a floor can hold (two captures of 2^63-1 in a wrong currency that are to go back): its sums are exact, the
-- answer is bigint.
-- Example: SELECT balance, available FROM concert.account_balance(:account);
CREATE FUNCTION concert.account_balance(account_id uuid)
    RETURNS TABLE (currency text, kind text, balance bigint, pending_debits bigint, pending_credits bigint,
                   available bigint, is_frozen boolean)
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER ROWS 1
    AS 'MODULE_PATHNAME', 'concert_account_balance';
COMMENT ON FUNCTION concert.account_balance(uuid)
    IS 'what an account holds, what is set aside and what is available';
REVOKE ALL ON FUNCTION concert.account_balance(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.account_balance(uuid) TO concert_admin;

-- balance_at(account_id, at) is what an account held at a time: the transfers recorded by then. NULL
-- for an account that does not exist, or a NULL argument. Errors: 22003 past bigint, as account_balance().
-- Example: SELECT concert.balance_at(:account, now() - interval '1 day');
CREATE FUNCTION concert.balance_at(account_id uuid, at timestamptz)
    RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'concert_balance_at';
COMMENT ON FUNCTION concert.balance_at(uuid, timestamptz)
    IS 'what an account held at a time';
REVOKE ALL ON FUNCTION concert.balance_at(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.balance_at(uuid, timestamptz) TO concert_admin;

-- points_statement(user_id, from_time, to_time, currency) lists what moved in a user's wallet and was
-- recorded from the first time on and before the second, with the balance after each; NULL is no bound.
-- Example: SELECT * FROM concert.points_statement(:user, now() - interval '30 days');
CREATE FUNCTION concert.points_statement(user_id uuid, from_time timestamptz DEFAULT NULL,
    to_time timestamptz DEFAULT NULL, currency text DEFAULT 'PTS')
    RETURNS TABLE (recorded_at timestamptz, effective_at timestamptz, transfer_id uuid, kind text,
                   amount bigint, balance bigint, description text, external_ref text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT m.created_at, coalesce(m.effective_at, m.created_at), m.id, m.kind, m.amount,
           m.balance::bigint, m.description, m.external_ref
    FROM (SELECT t.created_at, t.effective_at, t.id, t.kind, t.seq, t.description, t.external_ref, t.amount,
                 part.base + sum(t.amount) OVER (PARTITION BY part.after_seq ORDER BY t.seq) AS balance
          FROM concert.account AS a
          LEFT JOIN LATERAL (
              SELECT k.seq, k.credits - k.debits AS balance, k.set_back_us FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS l ON true
          LEFT JOIN LATERAL (
              SELECT k.seq, k.credits - k.debits AS balance FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id AND k.last_at < from_time
              ORDER BY k.last_at DESC, k.seq DESC LIMIT 1) AS c ON true
          LEFT JOIN LATERAL (
              SELECT k.seq FROM concert.account_checkpoint AS k
              WHERE k.account_id = a.id AND k.last_at >= to_time + l.set_back_us * interval '1 microsecond'
              ORDER BY k.last_at, k.seq LIMIT 1) AS u ON true
          CROSS JOIN LATERAL (VALUES
              (coalesce(c.seq, 0), coalesce(u.seq, l.seq), coalesce(c.balance, 0)),
              (coalesce(l.seq, 0), 9223372036854775807, coalesce(l.balance, 0))) AS part (after_seq, to_seq, base)
          CROSS JOIN LATERAL (
              SELECT c.created_at, c.effective_at, c.id, c.kind, c.seq, c.description, c.external_ref, c.amount
              FROM concert.transfer AS c
              WHERE c.credit_account_id = a.id AND c.seq > part.after_seq AND c.seq <= part.to_seq
              UNION ALL
              SELECT d.created_at, d.effective_at, d.id, d.kind, d.seq, d.description, d.external_ref, -d.amount
              FROM concert.transfer AS d
              WHERE d.debit_account_id = a.id AND d.seq > part.after_seq AND d.seq <= part.to_seq) AS t
          WHERE a.owner_id = points_statement.user_id AND a.kind = 'wallet'
            AND a.currency = points_statement.currency AND a.deleted_at IS NULL) AS m
    WHERE (from_time IS NULL OR m.created_at >= from_time) AND (to_time IS NULL OR m.created_at < to_time)
    ORDER BY m.seq;
END;
COMMENT ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text)
    IS 'what moved in a users wallet, with the balance after each';
REVOKE ALL ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.points_statement(uuid, timestamptz, timestamptz, text) TO concert_sidecar;

-- verify_ledger(from_time, to_time) proves the ledger anew: one row for each thing that is wrong, none
-- when all is well. It looks at the transfers that were recorded from the first time on and before
-- the second (NULL is no bound), and at every account that they moved money of, since its beginning:
--   each account's balance row against its transfers, its floor with what is set aside, what is set
--   aside against the pending transfers, its checkpoints against its transfers and their times, nothing left in a
--   closed one; each currency's balances together zero; each transfer of the currency of both of its
--   accounts, which exist; each posting and reversal against what it posts or reverses, once.
-- Whatever the times, it looks at every pending transfer, and for orphans: balance rows, checkpoints,
-- pending transfers and resolutions of what is not there.
-- It reads every transfer of these accounts a few times, however long they are: on a large database use a standby. Example: SELECT * FROM concert.verify_ledger();
CREATE FUNCTION concert.verify_ledger(from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
    RETURNS TABLE (object text, detail text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET jit = off
BEGIN ATOMIC
    WITH moved AS NOT MATERIALIZED (
        SELECT t.* FROM concert.transfer AS t
        WHERE (from_time IS NULL OR t.created_at >= from_time) AND (to_time IS NULL OR t.created_at < to_time)),
    looked_at AS MATERIALIZED (
        SELECT a.id, a.floor, a.deleted_at, b.account_id, b.debits, b.credits, b.debits_pending
        FROM concert.account AS a LEFT JOIN concert.account_balance AS b ON b.account_id = a.id
        WHERE (from_time IS NULL AND to_time IS NULL)
           OR a.id IN (SELECT m.debit_account_id FROM moved AS m)
           OR a.id IN (SELECT m.credit_account_id FROM moved AS m)),
    summed AS MATERIALIZED (
        SELECT l.*, coalesce(o.amount, 0) AS moved_out, coalesce(i.amount, 0) AS moved_in,
               coalesce(p.unresolved, 0) AS unresolved, coalesce(p.set_aside, 0) AS set_aside
        FROM looked_at AS l
        LEFT JOIN (SELECT t.debit_account_id AS id, sum(t.amount) AS amount FROM concert.transfer AS t
                   WHERE t.debit_account_id IN (SELECT w.id FROM looked_at AS w) GROUP BY 1) AS o ON o.id = l.id
        LEFT JOIN (SELECT t.credit_account_id AS id, sum(t.amount) AS amount FROM concert.transfer AS t
                   WHERE t.credit_account_id IN (SELECT w.id FROM looked_at AS w) GROUP BY 1) AS i ON i.id = l.id
        LEFT JOIN (SELECT t.debit_account_id AS id, sum(t.amount) AS unresolved,
                          sum(t.amount) FILTER (WHERE t.expires_at > statement_timestamp()) AS set_aside
                   FROM concert.pending_transfer AS t
                   WHERE t.debit_account_id IN (SELECT w.id FROM looked_at AS w)
                     AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)
                   GROUP BY 1) AS p ON p.id = l.id),
    recounted AS (
        SELECT k.account_id, k.seq, s.debits, s.credits, s.first_at, s.last_at
        FROM (SELECT w.account_id, w.seq,
                     lag(w.seq, 1, 0::bigint) OVER (PARTITION BY w.account_id ORDER BY w.seq) AS after_seq
              FROM concert.account_checkpoint AS w) AS k
        CROSS JOIN LATERAL (
            SELECT sum(t.debit) AS debits, sum(t.credit) AS credits,
                   min(t.created_at) AS first_at, max(t.created_at) AS last_at
            FROM (SELECT d.amount AS debit, 0 AS credit, d.created_at FROM concert.transfer AS d
                  WHERE d.debit_account_id = k.account_id AND d.seq > k.after_seq AND d.seq <= k.seq
                  UNION ALL
                  SELECT 0, c.amount, c.created_at FROM concert.transfer AS c
                  WHERE c.credit_account_id = k.account_id AND c.seq > k.after_seq AND c.seq <= k.seq) AS t) AS s
        WHERE k.account_id IN (SELECT l.id FROM looked_at AS l)),
    summed_up AS (
        SELECT r.account_id, r.seq, sum(r.debits) OVER seen AS debits, sum(r.credits) OVER seen AS credits,
               max(r.last_at) OVER seen AS last_at,
               extract(epoch FROM max(r.last_at) OVER before - r.first_at) * 1000000 AS set_back_us
        FROM recounted AS r
        WINDOW seen AS (PARTITION BY r.account_id ORDER BY r.seq),
               before AS (seen ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
    SELECT 'account ' || l.id,
           'balance row says debits ' || coalesce(l.debits::text, 'none') || ', credits '
           || coalesce(l.credits::text, 'none') || '; transfers say ' || l.moved_out || ', ' || l.moved_in
    FROM summed AS l
    WHERE l.floor IS NOT NULL AND (l.debits, l.credits) IS DISTINCT FROM (l.moved_out, l.moved_in)
    UNION ALL
    SELECT 'account ' || l.id, 'has a balance row, but no floor'
    FROM summed AS l WHERE l.floor IS NULL AND l.account_id IS NOT NULL
    UNION ALL
    SELECT 'account ' || l.id, 'stands below its floor: ' || (l.credits - l.debits - l.set_aside)
    FROM summed AS l WHERE l.credits - l.debits - l.set_aside < l.floor
    UNION ALL
    SELECT 'account ' || l.id, 'balance row says ' || l.debits_pending || ' set aside; pending transfers say ' || l.unresolved
    FROM summed AS l WHERE l.debits_pending <> l.unresolved
    UNION ALL
    SELECT 'account ' || l.id, 'is closed, and holds ' || (l.moved_in - l.moved_out)
    FROM summed AS l WHERE l.deleted_at IS NOT NULL AND l.moved_in <> l.moved_out
    UNION ALL
    SELECT 'account ' || k.account_id, 'its checkpoint at ' || k.seq || ' does not say what its transfers say'
    FROM (SELECT w.account_id, w.seq, w.debits, w.credits, w.last_at, w.set_back_us,
                 s.debits AS moved_out, s.credits AS moved_in, s.last_at AS last_moved_at,
                 greatest(max(s.set_back_us) OVER (PARTITION BY s.account_id ORDER BY s.seq), 0) AS moved_back_us
          FROM summed_up AS s JOIN concert.account_checkpoint AS w ON w.account_id = s.account_id AND w.seq = s.seq) AS k
    WHERE (k.debits, k.credits, k.last_at, k.set_back_us)
          IS DISTINCT FROM (k.moved_out, k.moved_in, k.last_moved_at, k.moved_back_us)
    UNION ALL
    SELECT 'currency ' || b.currency, 'its balances together are ' || sum(b.balance)
    FROM (SELECT a.currency, b.credits - b.debits AS balance
          FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id WHERE a.floor IS NOT NULL
          UNION ALL
          SELECT a.currency, s.credits - s.debits
          FROM concert.account AS a CROSS JOIN LATERAL concert.account_sums(a.id) AS s WHERE a.floor IS NULL) AS b
    GROUP BY b.currency HAVING sum(b.balance) <> 0
    UNION ALL
    SELECT 'transfer ' || m.id, CASE WHEN d.id IS NULL OR c.id IS NULL THEN 'its account does not exist'
                                     WHEN d.id = c.id THEN 'is from an account to itself'
                                     WHEN m.amount <= 0 THEN 'moves ' || m.amount
                                     ELSE 'its currency is not that of both accounts' END
    FROM moved AS m
    LEFT JOIN concert.account AS d ON d.id = m.debit_account_id
    LEFT JOIN concert.account AS c ON c.id = m.credit_account_id
    WHERE d.id IS NULL OR c.id IS NULL OR m.currency <> d.currency OR m.currency <> c.currency
       OR m.amount <= 0 OR d.id = c.id
    UNION ALL
    SELECT 'account ' || b.account_id, 'has a balance row, and does not exist'
    FROM concert.account_balance AS b WHERE NOT EXISTS (SELECT FROM concert.account AS a WHERE a.id = b.account_id)
    UNION ALL
    SELECT 'account ' || k.account_id, 'has a checkpoint at ' || k.seq || ', and does not exist'
    FROM concert.account_checkpoint AS k WHERE NOT EXISTS (SELECT FROM concert.account AS a WHERE a.id = k.account_id)
    UNION ALL
    SELECT 'pending transfer ' || p.id, 'is not between two accounts of its currency'
    FROM concert.pending_transfer AS p
    LEFT JOIN concert.account AS d ON d.id = p.debit_account_id
    LEFT JOIN concert.account AS c ON c.id = p.credit_account_id
    WHERE (d.currency, c.currency) IS DISTINCT FROM (p.currency, p.currency)
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id,
           CASE WHEN p.id IS NULL THEN 'is resolved, and does not exist'
                ELSE 'is resolved to ' || r.amount || ', and set ' || p.amount || ' aside' END
    FROM concert.pending_resolution AS r LEFT JOIN concert.pending_transfer AS p ON p.id = r.pending_id
    WHERE p.id IS NULL OR r.amount > p.amount
    UNION ALL
    SELECT 'pending transfer ' || p.id, 'lapsed, and its account still sets it aside'
    FROM concert.pending_transfer AS p
    JOIN concert.account_balance AS b ON b.account_id = p.debit_account_id AND p.expires_at <= b.lapsed_through
    WHERE NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = p.id)
    UNION ALL
    SELECT 'transfer ' || m.id, 'is not what its pending transfer was resolved to'
    FROM moved AS m
    LEFT JOIN concert.pending_transfer AS p ON p.id = m.pending_id
    LEFT JOIN concert.pending_resolution AS r ON r.pending_id = p.id
    WHERE m.pending_id IS NOT NULL
      AND (r.transfer_id IS DISTINCT FROM m.id OR r.amount <> m.amount OR m.amount > p.amount
           OR (m.debit_account_id, m.credit_account_id, m.currency)
              IS DISTINCT FROM (p.debit_account_id, p.credit_account_id, p.currency))
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id, 'is posted, but its transfer is not there'
    FROM concert.pending_resolution AS r
    WHERE r.outcome = 'posted' AND NOT EXISTS (
        SELECT FROM concert.transfer AS t WHERE t.id = r.transfer_id AND t.pending_id = r.pending_id)
    UNION ALL
    SELECT 'pending transfer ' || r.pending_id, 'was resolved ' || count(*) || ' times'
    FROM concert.pending_resolution AS r GROUP BY r.pending_id HAVING count(*) > 1
    UNION ALL
    SELECT 'transfer ' || m.id, 'is not the reversal of what it reverses'
    FROM moved AS m LEFT JOIN concert.transfer AS t ON t.id = m.reverses_id
    WHERE m.reverses_id IS NOT NULL
      AND (m.debit_account_id, m.credit_account_id, m.amount, m.currency)
          IS DISTINCT FROM (t.credit_account_id, t.debit_account_id, t.amount, t.currency)
    UNION ALL
    SELECT 'transfer ' || m.reverses_id, 'was reversed ' || count(*) || ' times'
    FROM moved AS m WHERE m.reverses_id IS NOT NULL GROUP BY m.reverses_id HAVING count(*) > 1;
END;
COMMENT ON FUNCTION concert.verify_ledger(timestamptz, timestamptz)
    IS 'one row for each thing that is wrong with the ledger; none when all is well';
REVOKE ALL ON FUNCTION concert.verify_ledger(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.verify_ledger(timestamptz, timestamptz) TO concert_admin;
