-- Everything of database shop that is not orders: catalogue, images, invoices as large objects, page views.
\set ON_ERROR_STOP on
SET ROLE shop_owner;
SET synchronous_commit = off;
SET timezone = 'UTC';

INSERT INTO public.schema_migrations (version, applied_at, checksum)
SELECT to_char(timestamptz '2024-01-15 10:00+00' + make_interval(days => 11 * i), 'YYYYMMDDHH24MISS'),
       timestamptz '2024-01-15 10:00+00' + make_interval(days => 11 * i), md5('migration ' || i)
  FROM generate_series(1, 37) AS i;

INSERT INTO catalog.categories (parent_id, name, attributes)
SELECT CASE WHEN i > 10 THEN 1 + i % 10 END, 'Category ' || i, hstore(ARRAY['colour', 'aisle'], ARRAY[md5(i::text), (i % 12)::text])
  FROM generate_series(1, 120) AS i;

INSERT INTO catalog.products (category_id, sku, title, description, properties, tags, price, weight_kg, available, updated_at)
SELECT 1 + i % 120, 'SKU-' || lpad(i::text, 8, '0'), 'Product ' || md5(i::text),
       repeat('A sturdy thing for every day. ', 3 + i % 9) || md5((i * 3)::text),
       jsonb_build_object('colour', i % 16, 'nested', jsonb_build_object('a', NULL, 'b', i, 'text', 'äöü " \ ' || i)),
       ARRAY['tag' || i % 40, 'tag, with comma', NULL], ROW((i % 50000) / 100.0, 'EUR')::sales.money_amount,
       CASE i % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' ELSE 1.0 / (1 + i) END,
       tstzrange('2026-01-01', CASE WHEN i % 3 = 0 THEN NULL ELSE timestamptz '2027-01-01' END),
       timestamptz '2026-01-01 12:34:56.789012'
  FROM generate_series(1, greatest(200, :mib * 20)) AS i;

INSERT INTO catalog.product_images (product_id, position, content)
SELECT i, 1, (SELECT string_agg(sha512((i || ':' || j)::bytea), '') FROM generate_series(1, 600 + i % 80) AS j)
  FROM generate_series(1, :mib * 2) AS i;

INSERT INTO sales.invoices (number, order_id, issued_on, document)
SELECT 'R-' || lpad(i::text, 8, '0'), i, date '2026-01-01' + i % 300,
       lo_from_bytea(0, '%PDF-1.4'::bytea ||
         coalesce((SELECT string_agg(sha512((i || '/' || j)::bytea), '') FROM generate_series(1, i % 3200) AS j), ''))
  FROM generate_series(0, greatest(20, :mib / 2)) AS i;

INSERT INTO sales.promotions (code, during, discount)
SELECT 'WEEK' || i, daterange(date '2026-01-05' + 7 * i, date '2026-01-05' + 7 * i + 5), 0.05 + i / 1000.0
  FROM generate_series(0, 50) AS i;

INSERT INTO ops.page_views (at, session, path, detail)
SELECT timestamptz '2026-10-01' + make_interval(secs => i), md5((i / 9)::text)::uuid, '/p/' || i % 20000,
       jsonb_build_object('agent', 'Browser/' || i % 400, 'ms', i % 1700, 'ref', md5((i % 999)::text),
                          'trail', jsonb_build_array(i % 11, i % 13, md5(i::text)), 'ok', i % 17 <> 0)
  FROM generate_series(1, :mib * 1400) AS i;

INSERT INTO ops."Odd ""Name"" – naïve"
VALUES ('tab	newline' || chr(10) || 'carriage' || chr(13) || 'backslash \', '\N', 1), ('\.', NULL, 2), ('', '\\N', NULL);
INSERT INTO ops.session_cache SELECT md5(i::text)::uuid, jsonb_build_object('cart', i) FROM generate_series(1, 500) AS i;

CREATE INDEX products_title_trigram ON catalog.products USING gin (title gin_trgm_ops);
CREATE INDEX ON catalog.products USING gin (properties jsonb_path_ops);
CREATE UNIQUE INDEX ON catalog.products (lower(sku));
CREATE INDEX ON ops.page_views USING brin (at);
