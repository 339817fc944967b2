-- Database shop_audit, whole.
\set ON_ERROR_STOP on
SET ROLE shop_owner;
SET synchronous_commit = off;
SET timezone = 'UTC';
CREATE SCHEMA audit;
CREATE TYPE audit.severity AS ENUM ('debug', 'info', 'warning', 'alarm');

CREATE TABLE audit.schema_migrations (version bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO audit.schema_migrations SELECT 1000 + i, 'step ' || i FROM generate_series(1, 12) AS i;

CREATE TABLE audit.actors (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  networks cidr[] NOT NULL DEFAULT '{}'
);
INSERT INTO audit.actors (name, networks)
SELECT 'actor-' || i, ARRAY[('10.' || i % 250 || '.0.0/16')::cidr] FROM generate_series(1, 300) AS i;

CREATE TABLE audit.events (
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL,
  actor_id int NOT NULL REFERENCES audit.actors,
  severity audit.severity NOT NULL,
  address inet,
  digest bytea NOT NULL,
  score float4,
  detail jsonb NOT NULL,
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE audit.events_2026_h1 PARTITION OF audit.events
  FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-07-01 00:00+00');
CREATE TABLE audit.events_2026_h2 PARTITION OF audit.events
  FOR VALUES FROM ('2026-07-01 00:00+00') TO ('2027-01-01 00:00+00');
CREATE TABLE audit.events_other PARTITION OF audit.events DEFAULT;

INSERT INTO audit.events (at, actor_id, severity, address, digest, score, detail)
SELECT timestamptz '2026-01-01' + make_interval(secs => i * 27000000.0 / (:mib * 800)), 1 + i % 300,
       (enum_range(NULL::audit.severity))[1 + i % 4], ('10.1.' || i % 250 || '.' || i % 199)::inet,
       sha256(i::text::bytea), (i % 1000) / 3.0,
       jsonb_build_object('verb', 'v' || i % 30, 'object', md5(i::text), 'before', i, 'after', i + 1)
  FROM generate_series(1, :mib * 800) AS i;
CREATE INDEX ON audit.events (actor_id, at);

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit events are written once';
END $$;
CREATE TRIGGER events_are_final BEFORE UPDATE OR DELETE ON audit.events
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();

GRANT USAGE ON SCHEMA audit TO shop_app, "Shop Accounting";
GRANT INSERT, SELECT ON audit.events TO shop_app;
GRANT SELECT ON audit.actors TO shop_app;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO "Shop Accounting";
RESET ROLE;
ANALYZE;
