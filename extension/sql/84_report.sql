-- Reports of money, for who may see any account: what each reads is said beside it, and none reads all
-- transfers. Amounts are in minor units of their currency.

-- What each concert has earned, as its revenue account has it. Reads of each account the last checkpoint and
-- the transfers since, which are a few hundred where checkpoint_accounts() is called now and then.
CREATE VIEW concert.revenue_by_concert AS
    SELECT a.owner_id AS concert_id, o.name AS concert, a.id AS account_id, a.currency,
           coalesce(c.credits, 0) + i.amount AS received, coalesce(c.debits, 0) + d.amount AS returned,
           coalesce(c.credits, 0) + i.amount - coalesce(c.debits, 0) - d.amount AS amount
    FROM concert.account AS a
    LEFT JOIN concert.concert AS o ON o.id = a.owner_id
    LEFT JOIN LATERAL (
        SELECT k.seq, k.debits, k.credits FROM concert.account_checkpoint AS k
        WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS c ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE t.credit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0) AS amount FROM concert.transfer AS t
        WHERE t.debit_account_id = a.id AND t.seq > coalesce(c.seq, 0)) AS d
    WHERE a.kind = 'revenue' AND a.floor IS NULL;
COMMENT ON VIEW concert.revenue_by_concert IS 'what each concert has earned: its revenue account, what it received and returned, and what is left; amount by amount what verify_ledger() proves';

-- What the seats of each section were sold for: the prices of those that are confirmed, concessions counted. It is
-- no money: a payment is of a booking, which may be of several sections. Reads, of the sections that are asked for,
-- the seats and their live reservations: name the date or the concert.
CREATE VIEW concert.revenue_by_section AS
    SELECT d.concert_id, s.concert_date_id, s.id AS section_id, s.name AS section, r.currency, r.seats, r.sold
    FROM concert.section AS s
    JOIN concert.concert_date AS d ON d.id = s.concert_date_id
    CROSS JOIN LATERAL (
        SELECT live.currency, count(*) AS seats, sum(live.price) AS sold
        FROM concert.seat AS e
        JOIN concert.reservation AS live ON live.seat_id = e.id AND live.deleted_at IS NULL
        WHERE e.section_id = s.id AND live.status = 'confirmed'
        GROUP BY live.currency) AS r;
COMMENT ON VIEW concert.revenue_by_section IS 'the prices of the confirmed seats of each section, which add up to sold of their date in revenue_by_date; money that went back without a seat is of a booking, and no section''s';

-- What each date has earned: a payment is of one booking, and a booking of one date. Nothing is left of the payments
-- of a booking without a confirmed seat. What transfer() moves to or from a concert's revenue is of no date. Reads, of
-- the dates that are asked for, the seats, their live reservations and the payments of these bookings.
CREATE VIEW concert.revenue_by_date AS
    SELECT d.concert_id, d.id AS concert_date_id, d.starts_at, r.currency, r.seats, r.sold,
           r.sold - r.amount AS given_back, r.amount
    FROM concert.concert_date AS d
    CROSS JOIN LATERAL (
        SELECT b.currency, sum(b.seats)::bigint AS seats, sum(b.sold) AS sold, sum(p.amount) AS amount
        FROM (SELECT live.booking_id, live.currency, count(*) AS seats, sum(live.price) AS sold
              FROM concert.seat AS e
              JOIN concert.reservation AS live ON live.seat_id = e.id AND live.deleted_at IS NULL
              WHERE e.concert_date_id = d.id AND live.status = 'confirmed'
              GROUP BY live.booking_id, live.currency) AS b
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(m.captured - m.refunded - m.fee), 0) AS amount
            FROM concert.payment AS m WHERE m.booking_id = b.booking_id) AS p
        GROUP BY b.currency) AS r;
COMMENT ON VIEW concert.revenue_by_date IS 'what each date has earned: what is left of the payments of its bookings, which is the prices of its confirmed seats (sold) less what of these went back as goodwill (given_back); the dates of a concert add up to what payments, refunds and fees left in its revenue account';

-- What is set aside now by pending transfers, by the account that it is to be debited from. Reads the accounts
-- that have something set aside, all without a floor, and their pending transfers whose time is not over.
CREATE VIEW concert.pending_funds AS
    SELECT a.id AS account_id, a.kind, a.owner_id, a.name, a.currency, p.transfers, p.amount, p.next_expires_at
    FROM (SELECT b.account_id AS id FROM concert.account_balance AS b WHERE b.debits_pending > 0
          UNION ALL SELECT n.id FROM concert.account AS n WHERE n.floor IS NULL) AS w
    JOIN concert.account AS a ON a.id = w.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS transfers, sum(t.amount) AS amount, min(t.expires_at) AS next_expires_at
        FROM concert.pending_transfer AS t
        WHERE t.debit_account_id = w.id AND t.expires_at > statement_timestamp()
          AND NOT EXISTS (SELECT FROM concert.pending_resolution AS r WHERE r.pending_id = t.id)) AS p
    WHERE p.transfers > 0;
COMMENT ON VIEW concert.pending_funds IS 'what pending transfers set aside now, by account';

-- What all wallets hold together: what is owed to the users. Reads each wallet's balance row, and no transfer.
CREATE VIEW concert.wallet_liabilities AS
    SELECT a.currency, count(*) AS wallets, sum(b.credits::numeric - b.debits) AS amount,
           sum(greatest(b.debits::numeric - b.credits, 0)) AS overdrawn
    FROM concert.account AS a JOIN concert.account_balance AS b ON b.account_id = a.id
    WHERE a.kind = 'wallet'
    GROUP BY a.currency;
COMMENT ON VIEW concert.wallet_liabilities IS 'what all wallets of a currency hold together, and by how much those on credit are below nothing';

GRANT SELECT ON concert.revenue_by_concert, concert.revenue_by_section, concert.revenue_by_date,
    concert.pending_funds, concert.wallet_liabilities TO concert_admin;

-- Internal: true of at most 3,660 days from one to another; 22023 for more, for one that is infinite, and for a
-- first day after the last.
CREATE FUNCTION concert.days_within(from_day date, to_day date) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'concert_days_within';
COMMENT ON FUNCTION concert.days_within(date, date) IS 'internal: true, or 22023 for days that no report takes';
REVOKE ALL ON FUNCTION concert.days_within(date, date) FROM PUBLIC;

-- revenue_by_day(concert_id, from_day, to_day) tells by how much a concert's revenue rose or fell on each day of
-- the two and between, as days go in the session's time zone; days without a change are left out, and of NULL
-- there is none. Reads a balance for each day, whatever it moved.
-- Errors: 22023 more than 3,660 days, an infinite day, the first after the last; 22008 days beyond those that a
-- timestamp has; 22003 a balance past bigint. Example: SELECT * FROM concert.revenue_by_day(:concert, '2026-01-01', '2026-01-31');
CREATE FUNCTION concert.revenue_by_day(concert_id uuid, from_day date, to_day date)
    RETURNS TABLE (day date, currency text, amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT b.day, b.currency, b.balance - b.before
    FROM (SELECT m.day, a.currency, a.id, m.balance, lag(m.balance) OVER (PARTITION BY a.id ORDER BY m.day) AS before
          FROM concert.account AS a
          CROSS JOIN LATERAL (
              SELECT g.day::date AS day,
                     concert.balance_at(a.id, (g.day::date + 1)::timestamptz - interval '1 microsecond')::numeric AS balance
              FROM generate_series((from_day - 1)::timestamp, to_day::timestamp, interval '1 day') AS g (day) OFFSET 0) AS m
          WHERE a.owner_id = revenue_by_day.concert_id AND a.kind = 'revenue') AS b
    WHERE concert.days_within(from_day, to_day) AND b.day >= from_day AND b.balance <> b.before
    ORDER BY b.day, b.currency;
END;
COMMENT ON FUNCTION concert.revenue_by_day(uuid, date, date) IS 'by how much a concert''s revenue changed on each day';
REVOKE ALL ON FUNCTION concert.revenue_by_day(uuid, date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION concert.revenue_by_day(uuid, date, date) TO concert_admin;
