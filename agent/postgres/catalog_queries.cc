#include "agent/postgres/catalog_queries.h"

#include <algorithm>

namespace salvor::agent {
namespace {

// Everywhere: schemas of the user only, and no object that an extension brings along (its version stands for
// those).
std::vector<CatalogQuery> SchemaQueries() {
  return {
      {"schemas", "schema", 0, 999999, R"sql(
SELECT quote_ident(n.nspname)
FROM pg_namespace n
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_namespace'::regclass
      AND x.objid = n.oid AND x.deptype = 'e')
)sql"},
      {"tables", "schema", 0, 999999, R"sql(
SELECT format('%I.%I kind=%s persistence=%s rls=%s/%s options=%s replica_identity=%s', n.nspname,
    c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
    array_to_string(ARRAY(SELECT o FROM unnest(c.reloptions) o ORDER BY 1), ','), c.relreplident)
    || COALESCE(' partition by ' || pg_get_partkeydef(c.oid), '')
    || COALESCE(' bound ' || pg_get_expr(c.relpartbound, c.oid), '')
    || COALESCE(' inherits ' || (SELECT string_agg(i.inhparent::regclass::text, ','
        ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid), '')
    || CASE WHEN c.reloftype <> 0 THEN ' of ' || c.reloftype::regtype::text ELSE '' END
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r','p','f')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      // Positions count living columns, as a restored table has no dropped ones; where columns are inherited,
      // a restore may order them anew. Minor releases of November 2026 stamp every column with an option
      // pg_attver, the server's own bookkeeping, which pg_dump leaves out by this very prefix: so do we, and
      // no other option.
      {"columns", "schema", 0, 139999, R"sql(
SELECT format('%I.%I.%I %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
    || CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND NOT c.relispartition
        THEN '' ELSE ' #' || row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END
    || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    || CASE a.attidentity WHEN '' THEN '' ELSE ' identity=' || a.attidentity::text END
    || CASE a.attgenerated WHEN '' THEN '' ELSE ' generated=' || a.attgenerated::text END
    || COALESCE(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    || CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || (SELECT format('%I.%I',
        m.nspname, k.collname) FROM pg_collation k JOIN pg_namespace m ON m.oid = k.collnamespace
        WHERE k.oid = a.attcollation) ELSE '' END
    || CASE WHEN a.attstorage <> t.typstorage THEN ' storage=' || a.attstorage::text ELSE '' END
    || COALESCE(' options=' || (SELECT string_agg(o, ',' ORDER BY o COLLATE "C")
        FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), '')
    || CASE WHEN a.attstattarget > 0 THEN ' statistics=' || a.attstattarget::text ELSE '' END
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0
  AND NOT a.attisdropped
  AND c.relkind IN ('r','p','f','c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"columns", "schema", 140000, 999999, R"sql(
SELECT format('%I.%I.%I %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
    || CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND NOT c.relispartition
        THEN '' ELSE ' #' || row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END
    || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    || CASE a.attidentity WHEN '' THEN '' ELSE ' identity=' || a.attidentity::text END
    || CASE a.attgenerated WHEN '' THEN '' ELSE ' generated=' || a.attgenerated::text END
    || COALESCE(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    || CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || (SELECT format('%I.%I',
        m.nspname, k.collname) FROM pg_collation k JOIN pg_namespace m ON m.oid = k.collnamespace
        WHERE k.oid = a.attcollation) ELSE '' END
    || CASE WHEN a.attstorage <> t.typstorage THEN ' storage=' || a.attstorage::text ELSE '' END
    || COALESCE(' options=' || (SELECT string_agg(o, ',' ORDER BY o COLLATE "C")
        FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), '')
    || CASE WHEN a.attstattarget > 0 THEN ' statistics=' || a.attstattarget::text ELSE '' END
    || CASE a.attcompression WHEN '' THEN '' ELSE ' compression=' || a.attcompression::text END
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0
  AND NOT a.attisdropped
  AND c.relkind IN ('r','p','f','c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"constraints", "schema", 0, 999999, R"sql(
SELECT format('%I.%I %I %s validated=%s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid),
    k.convalidated)
FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
  AND k.contype NOT IN ('t','n')
  AND k.conparentid = 0
)sql"},
      // pg_dump leaves invalid indexes out, so they are no part of what is expected.
      {"indexes", "schema", 0, 999999, R"sql(
SELECT pg_get_indexdef(i.indexrelid)
    || format(' valid=%s clustered=%s replica=%s', i.indisvalid, i.indisclustered, i.indisreplident)
FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
  AND c.relkind <> 't'
  AND i.indisready
  AND (i.indisvalid OR c.relkind = 'p')
)sql"},
      {"statistics", "schema", 0, 999999, R"sql(
SELECT pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s
  JOIN pg_class c ON c.oid = s.stxrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"triggers", "schema", 0, 129999, R"sql(
SELECT pg_get_triggerdef(t.oid)
    || ' enabled='
    || t.tgenabled::text
FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
  AND NOT t.tgisinternal
)sql"},
      {"triggers", "schema", 130000, 999999, R"sql(
SELECT pg_get_triggerdef(t.oid)
    || ' enabled='
    || t.tgenabled::text
FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
  AND NOT t.tgisinternal
  AND t.tgparentid = 0
)sql"},
      {"rules", "schema", 0, 999999, R"sql(
SELECT pg_get_ruledef(r.oid)
    || ' enabled='
    || r.ev_enabled::text
FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
  AND r.rulename <> '_RETURN'
)sql"},
      {"policies", "schema", 0, 999999, R"sql(
SELECT format('%I.%I %I cmd=%s permissive=%s using=%s check=%s roles=', n.nspname, c.relname,
    p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid))
    || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END, ',' ORDER BY CASE
        WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END COLLATE "C") FROM unnest(p.polroles) r)
FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"views", "schema", 0, 999999, R"sql(
SELECT format('%I.%I options=%s', n.nspname, c.relname, array_to_string(c.reloptions, ',')),
    pg_get_viewdef(c.oid)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"materialized views", "schema", 0, 999999, R"sql(
SELECT format('%I.%I options=%s populated=%s', n.nspname, c.relname, array_to_string(c.reloptions,
    ','), c.relispopulated), pg_get_viewdef(c.oid)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"functions", "schema", 0, 999999, R"sql(
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
    pg_get_functiondef(p.oid)
FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e')
  AND p.prokind <> 'a'
)sql"},
      {"aggregates", "schema", 0, 999999, R"sql(
SELECT format('%I.%I(%s) %s %s %s %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
    a.aggtransfn::regprocedure, a.aggfinalfn, a.aggtranstype::regtype, a.agginitval)
FROM pg_aggregate a
  JOIN pg_proc p ON p.oid = a.aggfnoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e')
)sql"},
      {"types", "schema", 0, 999999, R"sql(
SELECT format('%I.%I type=%s', n.nspname, t.typname, t.typtype)
    || COALESCE(' labels ' || (SELECT string_agg(quote_literal(e.enumlabel), ','
        ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '')
    || CASE WHEN t.typtype = 'd' THEN format(' %s not null=%s default=%s', format_type(t.typbasetype,
        t.typtypmod), t.typnotnull, t.typdefault) || COALESCE(' '
        || (SELECT string_agg(format('%I %s validated=%s', k.conname, pg_get_constraintdef(k.oid),
        k.convalidated), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid
        AND k.contype <> 'n'), '') ELSE '' END
    || COALESCE((SELECT ' range of ' || r.rngsubtype::regtype::text FROM pg_range r
        WHERE r.rngtypid = t.oid), '')
FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typelem = 0
  AND (c.oid IS NULL OR c.relkind = 'c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
)sql"},
      {"sequences", "schema", 0, 999999, R"sql(
SELECT format('%I.%I %s start=%s increment=%s min=%s max=%s cache=%s cycle=%s', n.nspname, c.relname,
    q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle)
FROM pg_sequence q
  JOIN pg_class c ON c.oid = q.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
  };
}

std::vector<CatalogQuery> RarerQueries() {
  return {
      {"operators", "schema", 0, 999999, R"sql(
SELECT o.oid::regoperator::text
    || ' '
    || o.oprcode::regprocedure::text
FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_operator'::regclass AND x.objid = o.oid
      AND x.deptype = 'e')
)sql"},
      {"operator classes", "schema", 0, 999999, R"sql(
SELECT format('%I.%I using %s for %s default=%s', n.nspname, o.opcname, m.amname, o.opcintype::regtype,
    o.opcdefault)
FROM pg_opclass o
  JOIN pg_am m ON m.oid = o.opcmethod
  JOIN pg_namespace n ON n.oid = o.opcnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_opclass'::regclass AND x.objid = o.oid
      AND x.deptype = 'e')
)sql"},
      {"casts", "schema", 0, 999999, R"sql(
SELECT format('%s to %s context=%s method=%s function=%s', k.castsource::regtype,
    k.casttarget::regtype, k.castcontext, k.castmethod, k.castfunc::regprocedure)
FROM pg_cast k
WHERE k.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_cast'::regclass AND x.objid = k.oid
      AND x.deptype = 'e')
)sql"},
      {"collations", "schema", 0, 999999, R"sql(
SELECT format('%I.%I provider=%s collate=%s ctype=%s deterministic=%s', n.nspname, k.collname,
    k.collprovider, k.collcollate, k.collctype, k.collisdeterministic)
FROM pg_collation k
  JOIN pg_namespace n ON n.oid = k.collnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_collation'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')
)sql"},
      {"text search", "schema", 0, 999999, R"sql(
SELECT format('%I.%I', n.nspname, k.cfgname)
    || COALESCE(' ' || (SELECT string_agg(m.maptokentype || ':' || m.mapdict::regdictionary::text, ','
        ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = k.oid), '')
FROM pg_ts_config k
  JOIN pg_namespace n ON n.oid = k.cfgnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_ts_config'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')
)sql"},
      {"languages", "schema", 0, 999999, R"sql(
SELECT format('%I trusted=%s', l.lanname, l.lanpltrusted)
FROM pg_language l
WHERE l.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_language'::regclass AND x.objid = l.oid
      AND x.deptype = 'e')
)sql"},
      {"event triggers", "schema", 0, 999999, R"sql(
SELECT format('%I on %s execute %s enabled=%s tags=%s', e.evtname, e.evtevent, e.evtfoid::regprocedure,
    e.evtenabled, array_to_string(e.evttags, ','))
FROM pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_event_trigger'::regclass
    AND x.objid = e.oid AND x.deptype = 'e')
)sql"},
      {"publications", "schema", 0, 999999, R"sql(
SELECT format('%I all=%s insert=%s update=%s delete=%s truncate=%s tables=', p.pubname, p.puballtables,
    p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate)
    || COALESCE((SELECT string_agg( r.prrelid::regclass::text, ',' ORDER BY r.prrelid::regclass::text
        COLLATE "C") FROM pg_publication_rel r WHERE r.prpubid = p.oid), '')
FROM pg_publication p
)sql"},
      {"subscriptions", "schema", 0, 999999, R"sql(
SELECT format('%I publications=%s slot=%s', s.subname, array_to_string(s.subpublications, ','),
    s.subslotname)
FROM pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
)sql"},
      {"foreign servers", "schema", 0, 999999, R"sql(
SELECT format('server %I wrapper %I', s.srvname, w.fdwname)
FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_foreign_server'::regclass
    AND x.objid = s.oid AND x.deptype = 'e')
UNION ALL
SELECT format('mapping of %s on %I', CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE u.usename END, u.srvname)
FROM pg_user_mappings u
)sql"},
      {"comments", "schema", 0, 999999, R"sql(
SELECT format('%s %s: %s', i.type, i.identity, d.description)
FROM pg_description d,
  LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384
  AND COALESCE(i.schema, '') !~ '^(pg_|information_schema$)'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid
      AND x.deptype = 'e')
  AND d.classoid <> 'pg_extension'::regclass
)sql"},
      {"security labels", "schema", 0, 999999, R"sql(
SELECT format('%s %s %s: %s', l.objtype, l.objname, l.provider, l.label)
FROM pg_seclabels l
WHERE l.objtype NOT IN ('role', 'database', 'tablespace')
)sql"},
  };
}

std::vector<CatalogQuery> GrantQueries() {
  return {
      // A null ACL counts as the default it stands for.
      {"grants on relations", "grants", 0, 999999, R"sql(
SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'relation' END, n.nspname,
    c.relname)
    || ': '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ','
        ORDER BY a.privilege_type COLLATE "C")
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) a
WHERE c.relkind IN ('r','p','f','v','m')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, c.relkind, n.nspname, c.relname
)sql"},
      {"grants on sequences", "grants", 0, 999999, R"sql(
SELECT format('sequence %I.%I', n.nspname, c.relname)
    || ': '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ','
        ORDER BY a.privilege_type COLLATE "C")
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL aclexplode(COALESCE(c.relacl, acldefault('s', c.relowner))) a
WHERE c.relkind = 'S'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, n.nspname, c.relname
)sql"},
      {"grants on columns", "grants", 0, 999999, R"sql(
SELECT format('column %I.%I.%I: ', n.nspname, c.relname, t.attname)
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || a.privilege_type
    || CASE WHEN a.is_grantable THEN '*' ELSE '' END
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_attribute t
  JOIN pg_class c ON c.oid = t.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL aclexplode(t.attacl) a
WHERE t.attnum > 0
  AND NOT t.attisdropped
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
)sql"},
      {"grants on schemas", "grants", 0, 999999, R"sql(
SELECT format('schema %I', n.nspname)
    || ': '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ','
        ORDER BY a.privilege_type COLLATE "C")
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_namespace n,
  LATERAL aclexplode(COALESCE(n.nspacl, acldefault('n', n.nspowner))) a
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_namespace'::regclass
      AND x.objid = n.oid AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, n.nspname
)sql"},
      {"grants on functions", "grants", 0, 999999, R"sql(
SELECT format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
    || ': '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ','
        ORDER BY a.privilege_type COLLATE "C")
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace,
  LATERAL aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, n.nspname, p.proname, p.oid
)sql"},
      {"grants on types", "grants", 0, 999999, R"sql(
SELECT format('type %I.%I', n.nspname, t.typname)
    || ': '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    || '='
    || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ','
        ORDER BY a.privilege_type COLLATE "C")
    || ' by '
    || pg_get_userbyid(a.grantor)
FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid,
  LATERAL aclexplode(COALESCE(t.typacl, acldefault('T', t.typowner))) a
WHERE t.typelem = 0
  AND (c.oid IS NULL OR c.relkind = 'c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, n.nspname, t.typname
)sql"},
      // What an extension's script granted itself stands in pg_init_privs; only what was added counts.
      {"grants on extension members", "grants", 0, 999999, R"sql(
SELECT format('%s: %s=%s%s', o.name, CASE WHEN a.grantee = 0 THEN 'PUBLIC'
    ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, CASE WHEN a.is_grantable THEN '*' ELSE '' END)
FROM ( SELECT 'pg_class'::regclass AS catalog, c.oid, format('relation %s', c.oid::regclass) AS name,
    c.relowner AS owner, c.relacl AS acl FROM pg_class c WHERE c.relacl IS NOT NULL
    UNION ALL SELECT 'pg_proc'::regclass, p.oid, format('function %s', p.oid::regprocedure),
    p.proowner, p.proacl FROM pg_proc p WHERE p.proacl IS NOT NULL) o
  JOIN pg_depend x ON x.classid = o.catalog AND x.objid = o.oid AND x.deptype = 'e',
  LATERAL aclexplode(o.acl) a
WHERE a.grantee <> o.owner
  AND NOT EXISTS (SELECT FROM pg_init_privs i, LATERAL aclexplode(i.initprivs) b
      WHERE i.classoid = o.catalog AND i.objoid = o.oid AND i.objsubid = 0 AND b.grantee = a.grantee
      AND b.privilege_type = a.privilege_type AND b.is_grantable = a.is_grantable)
  AND NOT (a.grantee = 0 AND o.catalog = 'pg_proc'::regclass)
)sql"},
      {"default grants", "grants", 0, 999999, R"sql(
SELECT format('for %s in %s on %s: ', pg_get_userbyid(d.defaclrole), CASE WHEN d.defaclnamespace = 0
    THEN 'all schemas' ELSE d.defaclnamespace::regnamespace::text END, d.defaclobjtype)
    || COALESCE( (SELECT string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC'
        ELSE pg_get_userbyid(a.grantee) END || '=' || a.privilege_type || CASE WHEN a.is_grantable THEN
        '*' ELSE '' END, ',' ORDER BY pg_get_userbyid(a.grantee) COLLATE "C", a.privilege_type COLLATE
        "C") FROM aclexplode(d.defaclacl) a), 'none')
FROM pg_default_acl d
)sql"},
      {"large object grants", "grants", 0, 999999, R"sql(
SELECT format('%s large objects owner=%s acl=%s', count(*), pg_get_userbyid(m.lomowner), m.lomacl)
FROM pg_largeobject_metadata m
GROUP BY m.lomowner, m.lomacl
)sql"},
  };
}

std::vector<CatalogQuery> OwnerQueries() {
  return {
      {"owners", "grants", 0, 999999, R"sql(
SELECT format('schema %I', n.nspname)
    || ' owner '
    || pg_get_userbyid(n.nspowner)
FROM pg_namespace n
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_namespace'::regclass
      AND x.objid = n.oid AND x.deptype = 'e')
UNION ALL
SELECT format('relation %I.%I', n.nspname, c.relname)
    || ' owner '
    || pg_get_userbyid(c.relowner)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace AND c.relkind IN ('r','p','f','v','m','S')
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
UNION ALL
SELECT format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
    || ' owner '
    || pg_get_userbyid(p.proowner)
FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e')
UNION ALL
SELECT format('type %I.%I', n.nspname, t.typname)
    || ' owner '
    || pg_get_userbyid(t.typowner)
FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace AND t.typelem = 0 AND t.typrelid = 0
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
UNION ALL
SELECT format('event trigger %I owner %s', e.evtname, pg_get_userbyid(e.evtowner))
FROM pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_event_trigger'::regclass
    AND x.objid = e.oid AND x.deptype = 'e')
UNION ALL
SELECT format('publication %I owner %s', p.pubname, pg_get_userbyid(p.pubowner))
FROM pg_publication p
UNION ALL
SELECT format('foreign server %I owner %s', s.srvname, pg_get_userbyid(s.srvowner))
FROM pg_foreign_server s
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_foreign_server'::regclass
    AND x.objid = s.oid AND x.deptype = 'e')
)sql"},
  };
}

}  // namespace

const std::vector<CatalogQuery>& CatalogQueries() {
  static const std::vector<CatalogQuery> all = [] {
    std::vector<CatalogQuery> queries = SchemaQueries();
    for (auto more : {RarerQueries(), GrantQueries(), OwnerQueries()}) {
      queries.insert(queries.end(), more.begin(), more.end());
    }
    return queries;
  }();
  return all;
}

bool IsDeparsed(const std::string& kind) {
  static const std::vector<std::string> kinds = {
      "views", "materialized views", "functions", "constraints", "indexes",    "triggers",
      "rules", "policies",           "columns",   "types",       "statistics", "tables"};
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

const std::vector<std::string>& MigrationTableNames() {
  static const std::vector<std::string> names = {"schema_migrations",
                                                 "ar_internal_metadata",
                                                 "flyway_schema_history",
                                                 "schema_version",
                                                 "alembic_version",
                                                 "django_migrations",
                                                 "__EFMigrationsHistory",
                                                 "knex_migrations",
                                                 "databasechangelog",
                                                 "SequelizeMeta",
                                                 "goose_db_version",
                                                 "_prisma_migrations",
                                                 "typeorm_migrations",
                                                 "doctrine_migration_versions",
                                                 "migration_versions",
                                                 "migrations",
                                                 "pgmigrations",
                                                 "_sqlx_migrations",
                                                 "__diesel_schema_migrations",
                                                 "refinery_schema_history",
                                                 "atlas_schema_revisions",
                                                 "gorp_migrations",
                                                 "phinxlog",
                                                 "schema_migration",
                                                 "sqitch.changes"};
  return names;
}

}  // namespace salvor::agent
