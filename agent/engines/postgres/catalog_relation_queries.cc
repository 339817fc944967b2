// Relations and what hangs on them.
#include "agent/engines/postgres/catalog_queries.h"

namespace salvor::agent {

std::vector<CatalogQuery> RelationQueries() {
  return {
      {.kind = "schemas", .check = "schema", .format = 2, .sql = R"sql(
SELECT quote_ident(n.nspname)
    || CASE WHEN n.nspname = 'public' AND n.nspacl::text IS NOT DISTINCT FROM (SELECT i.initprivs::text
          FROM pg_init_privs i WHERE i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid)
        AND n.nspowner IN (10, 6171)
        AND obj_description(n.oid, 'pg_namespace') = 'standard public schema'
        AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.refclassid = 'pg_namespace'::regclass
          AND x.refobjid = n.oid)
      THEN ' as in every new database' ELSE '' END
FROM pg_namespace n
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_namespace'::regclass
      AND x.objid = n.oid AND x.deptype = 'e')
)sql"},
      {.kind = "tables", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I kind=%s persistence=%s rls=%s/%s options=%s toast options=%s replica_identity=%s',
      n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
      array_to_string(ARRAY(SELECT o FROM unnest(c.reloptions) o ORDER BY o COLLATE "C"), ','),
      (SELECT array_to_string(ARRAY(SELECT o FROM unnest(t.reloptions) o ORDER BY o COLLATE "C"), ',')
        FROM pg_class t WHERE t.oid = c.reltoastrelid), c.relreplident)
    || COALESCE(' access method ' || (SELECT quote_ident(m.amname) FROM pg_am m WHERE m.oid = c.relam), '')
    || COALESCE(' partition by ' || p.partstrat::text || (SELECT string_agg(format(' %s %I.%I %s',
          CASE k.attribute WHEN 0 THEN 'expression' ELSE (SELECT quote_ident(a.attname) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum = k.attribute) END, w.nspname, o.opcname,
          CASE WHEN k.collation_oid <> 0 THEN k.collation_oid::regcollation END), ',' ORDER BY k.position)
        FROM unnest(p.partattrs::int2[], p.partclass::oid[], p.partcollation::oid[])
          WITH ORDINALITY k(attribute, class, collation_oid, position)
          JOIN pg_opclass o ON o.oid = k.class
          JOIN pg_namespace w ON w.oid = o.opcnamespace), '')
    || COALESCE(' bound ' || pg_get_expr(c.relpartbound, c.oid), '')
    || COALESCE(' inherits ' || (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
        FROM pg_inherits i WHERE i.inhrelid = c.oid), '')
    || CASE WHEN c.reloftype <> 0 THEN ' of ' || c.reloftype::regtype::text ELSE '' END,
  format('SELECT FROM ONLY %I.%I WHERE (ROW(%s) IS NULL)', n.nspname, c.relname,
    pg_get_expr(p.partexprs, c.oid)) || CASE WHEN p.partexprs IS NULL THEN NULL ELSE '' END
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'f')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // Positions count living columns, as a restored table has no dropped ones; where columns are inherited,
      // a restore may order them anew. Minor releases of November 2026 stamp every column with an option
      // pg_attver, the server's own bookkeeping, which pg_dump leaves out by this very prefix: so do we, and
      // no other option. Partitions come back as tables that are attached, so their columns become local.
      {.kind = "columns", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I.%I %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
    || CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND NOT c.relispartition
        THEN CASE WHEN a.attislocal THEN ' local' ELSE ' inherited' END
        ELSE ' #' || row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END
    || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    || CASE a.attidentity WHEN '' THEN '' ELSE ' identity=' || a.attidentity::text END
    || CASE a.attgenerated WHEN '' THEN '' ELSE ' generated=' || a.attgenerated::text END
    || CASE WHEN d.oid IS NULL THEN '' ELSE ' default' END
    || CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || a.attcollation::regcollation ELSE '' END
    || CASE WHEN a.attstorage <> t.typstorage THEN ' storage=' || a.attstorage::text ELSE '' END
    || COALESCE(' options=' || (SELECT string_agg(o, ',' ORDER BY o COLLATE "C")
        FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), '')
    || CASE WHEN a.attstattarget >= 0 THEN ' statistics=' || a.attstattarget::text ELSE '' END
    || COALESCE(' compression=' || NULLIF(to_jsonb(a)->>'attcompression', ''), ''),
  format('SELECT FROM ONLY %I.%I WHERE (ROW(%s) IS NULL)', n.nspname, c.relname,
    pg_get_expr(d.adbin, d.adrelid)) || CASE WHEN d.oid IS NULL THEN NULL ELSE '' END
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0
  AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'f', 'c', 'v', 'm')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "constraints", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I %I ', n.nspname, c.relname, k.conname)
    || CASE k.contype
        WHEN 'c' THEN format('CHECK no inherit=%s', k.connoinherit)
        WHEN 'x' THEN format('EXCLUDE WITH %s deferrable=%s deferred=%s', (SELECT string_agg(
            o::oid::regoperator::text, ', ' ORDER BY position) FROM unnest(k.conexclop) WITH ORDINALITY
            u(o, position)), k.condeferrable, k.condeferred)
        ELSE pg_get_constraintdef(k.oid) END
    || format(' validated=%s', k.convalidated)
    || CASE WHEN k.conislocal OR c.relispartition THEN '' ELSE ' inherited' END,
  CASE k.contype WHEN 'c' THEN format('SELECT FROM ONLY %I.%I WHERE (%s)', n.nspname, c.relname,
    pg_get_expr(k.conbin, k.conrelid)) END
FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype NOT IN ('t', 'n')
  AND k.conparentid = 0
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // pg_dump leaves invalid indexes out, so they are no part of what is expected.
      {.kind = "indexes", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I on %s using %I unique=%s primary=%s nulls not distinct=%s valid=%s clustered=%s'
        ' replica=%s options=%s', n.nspname, x.relname, i.indrelid::regclass, m.amname, i.indisunique,
      i.indisprimary, COALESCE(to_jsonb(i)->>'indnullsnotdistinct', 'false'), i.indisvalid, i.indisclustered,
      i.indisreplident,
      array_to_string(ARRAY(SELECT o FROM unnest(x.reloptions) o ORDER BY o COLLATE "C"), ','))
    || COALESCE(' attached to ' || (SELECT h.inhparent::regclass::text FROM pg_inherits h
        WHERE h.inhrelid = i.indexrelid), '')
    || ' (' || (SELECT string_agg(
          CASE WHEN k.attribute = 0 THEN 'expression' ELSE (SELECT quote_ident(a.attname) FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = k.attribute) END
          || CASE WHEN k.position > i.indnkeyatts THEN ' included' ELSE COALESCE((SELECT format(' %I.%I',
              w.nspname, o.opcname) FROM pg_opclass o JOIN pg_namespace w ON w.oid = o.opcnamespace
              WHERE o.oid = k.class), '')
            || CASE WHEN k.collation_oid <> 0 THEN ' collate ' || k.collation_oid::regcollation ELSE '' END
            || CASE k.option WHEN 0 THEN '' WHEN 1 THEN ' desc' WHEN 2 THEN ' nulls first'
              ELSE ' desc nulls first' END END
          || COALESCE((SELECT COALESCE(' options=' || NULLIF((SELECT string_agg(o, ',' ORDER BY o COLLATE "C")
                FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), ''), '')
              || CASE WHEN a.attstattarget >= 0 THEN ' statistics=' || a.attstattarget::text ELSE '' END
            FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attnum = k.position), ''),
          ', ' ORDER BY k.position)
        FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[])
          WITH ORDINALITY k(attribute, class, collation_oid, option, position)) || ')'
    || CASE WHEN i.indpred IS NULL THEN '' ELSE ' where' END,
  CASE WHEN i.indexprs IS NULL AND i.indpred IS NULL THEN NULL ELSE
    format('SELECT FROM ONLY %s WHERE ', i.indrelid::regclass)
    || COALESCE('(ROW(' || pg_get_expr(i.indexprs, i.indrelid) || ') IS NULL)', 'true')
    || COALESCE(' AND (' || pg_get_expr(i.indpred, i.indrelid) || ')', '') END
FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_am m ON m.oid = x.relam
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind <> 't'
  AND i.indisready
  AND (i.indisvalid OR c.relkind = 'p')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "statistics", .check = "schema", .until = 139999, .format = 2, .sql = R"sql(
SELECT format('%I.%I on %s kinds=%s columns=%s target=%s', m.nspname, s.stxname, s.stxrelid::regclass,
      array_to_string(ARRAY(SELECT k FROM unnest(s.stxkind) k ORDER BY k), ','),
      (SELECT string_agg(quote_ident(a.attname), ',' ORDER BY a.attname COLLATE "C") FROM pg_attribute a
        WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
      COALESCE(NULLIF(to_jsonb(s)->>'stxstattarget', '-1'), 'default'))
FROM pg_statistic_ext s
  JOIN pg_namespace m ON m.oid = s.stxnamespace
  JOIN pg_class c ON c.oid = s.stxrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "statistics",
       .check = "schema",
       .since = 140000,
       .format = 2,
       .reading = Reading::kQuery,
       .sql = R"sql(
SELECT format('%I.%I on %s kinds=%s columns=%s target=%s', m.nspname, s.stxname, s.stxrelid::regclass,
      array_to_string(ARRAY(SELECT k FROM unnest(s.stxkind) k ORDER BY k), ','),
      (SELECT string_agg(quote_ident(a.attname), ',' ORDER BY a.attname COLLATE "C") FROM pg_attribute a
        WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
      COALESCE(NULLIF(to_jsonb(s)->>'stxstattarget', '-1'), 'default')),
  CASE WHEN s.stxexprs IS NOT NULL THEN format('SELECT FROM ONLY %s WHERE (ROW(%s) IS NULL)',
    s.stxrelid::regclass, pg_get_expr(s.stxexprs, s.stxrelid)) END
FROM pg_statistic_ext s
  JOIN pg_namespace m ON m.oid = s.stxnamespace
  JOIN pg_class c ON c.oid = s.stxrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // A trigger's clones on partitions follow from it, apart from being enabled.
      {.kind = "triggers", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT CASE WHEN COALESCE(to_jsonb(t)->>'tgparentid', '0') <> '0'
      THEN format('clone %I on %I.%I', t.tgname, n.nspname, c.relname)
      WHEN t.tgqual IS NULL THEN d.text
      ELSE left(d.text, d.position + 6) || '...' || substr(d.text, d.last) END
    || ' enabled=' || t.tgenabled::text,
  CASE WHEN t.tgqual IS NOT NULL AND COALESCE(to_jsonb(t)->>'tgparentid', '0') = '0' THEN
    format('SELECT FROM ONLY %1$I.%2$I "old", ONLY %1$I.%2$I "new" WHERE (%3$s)', n.nspname, c.relname,
      substr(d.text, d.position + 7, d.last - d.position - 7)) END
FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL (SELECT pg_get_triggerdef(t.oid) AS text,
    format(') EXECUTE FUNCTION %s(', t.tgfoid::regproc) AS tail) e,
  LATERAL (SELECT e.text, position(' WHEN (' IN e.text) AS position, length(e.text) - length(e.tail)
    - position(reverse(e.tail) IN reverse(e.text)) + 2 AS last) d
WHERE NOT t.tgisinternal
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // ALTER TABLE … DISABLE TRIGGER ALL reaches the triggers behind foreign keys; pg_dump does not say so.
      {.kind = "disabled constraint triggers", .check = "schema", .format = 2, .left_out = true, .sql = R"sql(
SELECT format('%I.%I constraint %I of %s: %s enabled=%s', n.nspname, c.relname, k.conname,
    k.conrelid::regclass, f.proname, t.tgenabled)
FROM pg_trigger t
  JOIN pg_proc f ON f.oid = t.tgfoid
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_constraint k ON k.oid = t.tgconstraint
WHERE t.tgisinternal
  AND t.tgenabled <> 'O'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
)sql"},
      {.kind = "rules", .check = "schema", .format = 2, .reading = Reading::kRule, .sql = R"sql(
SELECT format('%I.%I %I event=%s instead=%s enabled=%s', n.nspname, c.relname, r.rulename, r.ev_type,
    r.is_instead, r.ev_enabled),
  pg_get_ruledef(r.oid), format('%I.%I', n.nspname, c.relname)
FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "policies", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I %I cmd=%s permissive=%s using=%s check=%s roles=', n.nspname, c.relname, p.polname,
      p.polcmd, p.polpermissive, p.polqual IS NOT NULL, p.polwithcheck IS NOT NULL)
    || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END, ',' ORDER BY
        CASE WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END COLLATE "C") FROM unnest(p.polroles) r),
  format('SELECT FROM ONLY %I.%I WHERE (%s) AND (%s)', n.nspname, c.relname,
    COALESCE(pg_get_expr(p.polqual, p.polrelid), 'true'),
    COALESCE(pg_get_expr(p.polwithcheck, p.polrelid), 'true'))
FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "views", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I options=%s', n.nspname, c.relname,
    array_to_string(ARRAY(SELECT o FROM unnest(c.reloptions) o ORDER BY o COLLATE "C"), ',')),
  rtrim(pg_get_viewdef(c.oid), ';')
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "materialized views", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I options=%s populated=%s', n.nspname, c.relname,
      array_to_string(ARRAY(SELECT o FROM unnest(c.reloptions) o ORDER BY o COLLATE "C"), ','),
      c.relispopulated)
    || COALESCE(' access method ' || (SELECT quote_ident(m.amname) FROM pg_am m WHERE m.oid = c.relam), ''),
  rtrim(pg_get_viewdef(c.oid), ';')
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "sequences", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I.%I %s start=%s increment=%s min=%s max=%s cache=%s cycle=%s persistence=%s', n.nspname,
      c.relname, q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
      c.relpersistence)
    || COALESCE((SELECT format(' of %s.%I', d.refobjid::regclass, a.attname) FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
          AND d.refclassid = 'pg_class'::regclass), '')
FROM pg_sequence q
  JOIN pg_class c ON c.oid = q.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // The copy may lie on a server without them, so a restore does not ask for any.
      {.kind = "tablespaces", .check = "schema", .format = 2, .left_out = true, .sql = R"sql(
SELECT format('%I.%I in tablespace %I', n.nspname, c.relname, t.spcname)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND c.relkind IN ('r', 'p', 'm', 'i', 'I')
UNION ALL
SELECT format('the database in tablespace %I', t.spcname)
FROM pg_database d
  JOIN pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = current_database()
  AND t.spcname <> 'pg_default'
)sql"},
  };
}

}  // namespace salvor::agent
