-- The roles of the demo application, with the attributes, memberships and settings a real one collects.
\set ON_ERROR_STOP on
\connect postgres

CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_app LOGIN PASSWORD 'only-for-the-demo' CONNECTION LIMIT 40;
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE shop_support LOGIN IN ROLE shop_reader VALID UNTIL '2099-12-31 23:59:59+00';
CREATE ROLE "Shop Accounting" NOLOGIN NOINHERIT;
GRANT shop_reader TO "Shop Accounting" WITH ADMIN OPTION;
COMMENT ON ROLE shop_owner IS 'owns every object of the shop; nobody logs in as it';

ALTER ROLE shop_app SET statement_timeout = '30s';
ALTER ROLE shop_app SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE shop_reader SET default_transaction_read_only = on;

CREATE DATABASE shop OWNER shop_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
CREATE DATABASE shop_audit OWNER shop_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';

-- Settings that change how values look as text: whoever compares a restored copy has to pin them.
ALTER DATABASE shop SET timezone = 'Europe/Berlin';
ALTER DATABASE shop SET datestyle = 'SQL, DMY';
ALTER DATABASE shop SET intervalstyle = 'iso_8601';
ALTER DATABASE shop SET work_mem = '16MB';
ALTER DATABASE shop_audit SET bytea_output = 'escape';
ALTER DATABASE shop_audit SET extra_float_digits = 0;
ALTER ROLE shop_app IN DATABASE shop SET search_path = sales, catalog, public;
ALTER ROLE shop_app IN DATABASE shop_audit SET search_path = audit;

REVOKE ALL ON DATABASE shop, shop_audit FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE shop TO shop_app;
GRANT CONNECT ON DATABASE shop TO shop_reader, "Shop Accounting";
GRANT CONNECT ON DATABASE shop_audit TO shop_app, "Shop Accounting";
COMMENT ON DATABASE shop IS 'the shop''s own data';
