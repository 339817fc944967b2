-- Keys between tables, functions, triggers, views, row security and rights; then a first look by the planner.
\set ON_ERROR_STOP on
SET ROLE shop_owner;
SET synchronous_commit = off;

ALTER TABLE catalog.products ADD FOREIGN KEY (category_id) REFERENCES catalog.categories;
ALTER TABLE catalog.product_images ADD FOREIGN KEY (product_id) REFERENCES catalog.products ON DELETE CASCADE;
ALTER TABLE sales.addresses ADD FOREIGN KEY (customer_id) REFERENCES sales.customers ON DELETE CASCADE
  DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE sales.orders ADD FOREIGN KEY (customer_id) REFERENCES sales.customers;
ALTER TABLE sales.invoices ADD CONSTRAINT invoices_number_check CHECK (number ~ '^R-') NOT VALID;
CREATE UNIQUE INDEX ON sales.customers (lower(email));
CREATE STATISTICS sales.orders_by_customer (dependencies) ON customer_id, state FROM sales.orders;

CREATE FUNCTION ops.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END $$;
CREATE TRIGGER products_touch BEFORE UPDATE ON catalog.products FOR EACH ROW EXECUTE FUNCTION ops.touch();

CREATE FUNCTION sales.check_total() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.total < 0 THEN RAISE EXCEPTION 'an order cannot total %', NEW.total; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER orders_total AFTER INSERT OR UPDATE ON sales.orders
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sales.check_total();

CREATE FUNCTION sales.revenue(on_day date) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = sales, pg_temp AS
  $$ SELECT coalesce(sum(total), 0) FROM sales.orders WHERE placed_at::date = on_day AND state <> 'cancelled' $$;
REVOKE ALL ON FUNCTION sales.revenue(date) FROM PUBLIC;
CREATE PROCEDURE ops.forget_views(before timestamptz) LANGUAGE sql AS
  $$ DELETE FROM ops.page_views WHERE at < before $$;
CREATE AGGREGATE sales.product_of(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');

-- The application's own idea of being ready; a drill runs it against the restored copy.
CREATE FUNCTION ops.assert_ready() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  gaps bigint;
BEGIN
  SELECT count(*) INTO gaps FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM ops.heartbeat) AS h WHERE id <> n;
  IF gaps > 0 THEN RAISE EXCEPTION 'heartbeat has gaps: % rows are out of step', gaps; END IF;
  IF EXISTS (SELECT FROM ops.heartbeat h LEFT JOIN sales.orders o ON o.id = h.order_id
              WHERE h.order_id IS NOT NULL AND o.id IS NULL) THEN
    RAISE EXCEPTION 'a heartbeat names an order that is not there';
  END IF;
  IF EXISTS (SELECT FROM sales.invoices i LEFT JOIN pg_catalog.pg_largeobject_metadata m ON m.oid = i.document
              WHERE m.oid IS NULL) THEN
    RAISE EXCEPTION 'an invoice has lost its document';
  END IF;
  RETURN 'ready';
END $$;

CREATE VIEW sales.open_orders WITH (security_barrier) AS
  SELECT o.id, o.placed_at, c.full_name, o.total FROM sales.orders o JOIN sales.customers c ON c.id = o.customer_id
   WHERE o.state IN ('new', 'paid');
CREATE VIEW catalog.product_tree AS
  WITH RECURSIVE tree AS (
    SELECT id, name, 1 AS depth FROM catalog.categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.name, t.depth + 1 FROM catalog.categories c JOIN tree t ON c.parent_id = t.id)
  SELECT * FROM tree;
CREATE MATERIALIZED VIEW sales.monthly_revenue AS
  SELECT date_trunc('month', placed_at AT TIME ZONE 'UTC') AS month, state, count(*) AS orders, sum(total) AS total
    FROM sales.orders GROUP BY 1, 2;
CREATE UNIQUE INDEX ON sales.monthly_revenue (month, state);
CREATE MATERIALIZED VIEW sales.not_yet_filled AS SELECT * FROM sales.open_orders WITH NO DATA;

ALTER TABLE sales.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.customers FORCE ROW LEVEL SECURITY;
CREATE POLICY everything_for_the_shop ON sales.customers TO shop_app, shop_owner USING (true) WITH CHECK (true);
CREATE POLICY own_region ON sales.customers FOR SELECT TO shop_reader
  USING (region = current_setting('shop.region', true));

GRANT USAGE ON SCHEMA sales, catalog, ops TO shop_app, shop_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sales, catalog, ops TO shop_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA sales, catalog, ops TO shop_app;
GRANT SELECT ON ALL TABLES IN SCHEMA catalog TO shop_reader;
GRANT SELECT (id, region, created_at) ON sales.customers TO shop_reader;
GRANT USAGE ON SCHEMA sales TO "Shop Accounting";
GRANT SELECT ON sales.orders, sales.order_lines TO "Shop Accounting" WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION sales.revenue(date) TO "Shop Accounting";
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON TABLES TO shop_reader;
DO $$
DECLARE document oid;
BEGIN
  FOR document IN SELECT i.document FROM sales.invoices i WHERE i.document::bigint % 10 = 0 LOOP
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO "Shop Accounting"', document);
  END LOOP;
END $$;
RESET ROLE;
ANALYZE;
