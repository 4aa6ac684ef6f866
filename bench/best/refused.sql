-- SPDX-License-Identifier: PostgreSQL
--
-- Who was refused for good although four seats side by side are left; nobody gives seats back in a run.
SELECT string_agg(DISTINCT reason, ' ') FROM bench.refused
WHERE reason <> 'busy' AND EXISTS (
    SELECT FROM (SELECT "row", col - row_number() OVER (PARTITION BY "row" ORDER BY col) AS island
                 FROM concert.seat_map(:'date') WHERE state = 'free') AS s
    GROUP BY "row", island HAVING count(*) >= 4);
TRUNCATE bench.refused;
