-- Orders and their lines: the bulk of rows. psql variable mib sets the amount.
\set ON_ERROR_STOP on
SET ROLE shop_owner;
SET synchronous_commit = off;
SET timezone = 'UTC';

INSERT INTO sales.customers (email, full_name, region, preferences, born, loyalty, created_at)
SELECT 'customer' || i || '@example.org',
       (ARRAY['Anna','Björn','Chloé','Đorđe','Елена','Fatima','Ġużè','José'])[1 + i % 8] || ' ' || initcap(substr(md5(i::text), 1, 9)),
       (ARRAY['north','south','east','west'])[1 + i % 4],
       jsonb_build_object('newsletter', i % 3 = 0, 'theme', md5((i % 7)::text), 'sizes', jsonb_build_array(i % 50, i % 47)),
       date '1950-01-01' + (i % 20000), make_interval(days => i % 900),
       timestamptz '2025-01-01' + make_interval(mins => i)
  FROM generate_series(1, greatest(500, :mib * 60)) AS i;

INSERT INTO sales.addresses (customer_id, kind, lines, location)
SELECT 999 + i, CASE WHEN k = 0 THEN 'billing' ELSE 'shipping' END,
       ARRAY['Street ' || (i % 400), E'Tab\there, "quotes" \\ and\nnewline', lpad((i % 99999)::text, 5, '0')],
       point((i % 360) - 180 + 0.125, (i % 180) - 90)
  FROM generate_series(1, greatest(500, :mib * 60)) AS i, generate_series(0, 1) AS k;

INSERT INTO sales.orders (id, customer_id, state, placed_at, total, note, shipping)
SELECT i, 1000 + (i * 7919) % greatest(500, :mib * 60),
       (enum_range(NULL::sales.order_state))[(1 + i % 6)::int],
       timestamptz '2025-12-25' + make_interval(secs => i * 31536000.0 / (:mib * 1000)),
       ((i * 37) % 90000) / 100.0,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'note ' || md5(i::text) END,
       jsonb_build_object('carrier', 'c' || i % 9, 'code', md5((i + 1)::text), 'kg', (i % 300) / 10.0)
  FROM generate_series(1::bigint, :mib * 1000) AS i;
INSERT INTO sales.orders (id, customer_id, state, placed_at, total)
VALUES (0, 1000, 'cancelled', '1999-12-31', 0);

INSERT INTO sales.order_lines (order_id, line, product_id, quantity, unit_price)
SELECT o, l, 1 + (o * 31 + l * 17) % greatest(200, :mib * 20), 1 + (o + l) % 4, ((o * 13 + l) % 20000) / 100.0
  FROM generate_series(1::bigint, :mib * 1000) AS o, generate_series(1, 3) AS l;

ALTER TABLE sales.orders ADD PRIMARY KEY (id, placed_at);
ALTER TABLE sales.order_lines ADD PRIMARY KEY (order_id, line);
CREATE INDEX ON sales.orders (customer_id);
CREATE INDEX ON sales.orders (placed_at) WHERE state = 'new';
SELECT setval(pg_get_serial_sequence('sales.orders', 'id'), :mib * 1000) AS last_order \gset
