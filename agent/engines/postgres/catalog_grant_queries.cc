// Owners, grants and default grants.
#include "agent/engines/postgres/catalog_queries.h"

namespace salvor::agent {

std::vector<CatalogQuery> GrantQueries() {
  return {
      // A null ACL counts as the default it stands for.
      {.kind = "grants on relations", .check = "grants", .sql = R"sql(
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
      {.kind = "grants on sequences", .check = "grants", .sql = R"sql(
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
      {.kind = "grants on columns", .check = "grants", .sql = R"sql(
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
      // A schema "public" with the grants that every new database has is in "schemas".
      {.kind = "grants on schemas", .check = "grants", .format = 2, .sql = R"sql(
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
  AND NOT (n.nspname = 'public' AND n.nspowner IN (10, 6171)
      AND n.nspacl::text IS NOT DISTINCT FROM (SELECT i.initprivs::text FROM pg_init_privs i
        WHERE i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid))
  AND NOT (n.oid < 16384 AND n.nspname <> 'public' AND a.grantee <> n.nspowner)
GROUP BY a.grantee, a.grantor, n.nspname
)sql"},
      // pg_dump takes the first grants of "public" for granted, also where that was renamed.
      {.kind = "first grants of a renamed public",
       .check = "grants",
       .format = 2,
       .left_out = true,
       .set_again = true,
       .sql = R"sql(
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
  AND NOT (n.nspname = 'public' AND n.nspowner IN (10, 6171)
      AND n.nspacl::text IS NOT DISTINCT FROM (SELECT i.initprivs::text FROM pg_init_privs i
        WHERE i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid))
  AND n.oid < 16384 AND n.nspname <> 'public' AND a.grantee <> n.nspowner
GROUP BY a.grantee, a.grantor, n.nspname
)sql"},
      // A function that the server made itself for a range belongs to whoever made the cluster.
      {.kind = "grants on functions", .check = "grants", .format = 2, .sql = R"sql(
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
      AND x.deptype IN ('e', 'i'))
GROUP BY a.grantee, a.grantor, n.nspname, p.proname, p.oid
)sql"},
      {.kind = "grants on types", .check = "grants", .format = 2, .sql = R"sql(
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
WHERE t.typtype <> 'm'
  AND t.typelem = 0
  AND (c.oid IS NULL OR c.relkind = 'c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, n.nspname, t.typname
)sql"},
      {.kind = "grants on languages", .check = "grants", .format = 2, .sql = R"sql(
SELECT format('language %I: %s=%s by %s', l.lanname,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END,
    string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ',' ORDER BY
      a.privilege_type COLLATE "C"), pg_get_userbyid(a.grantor))
FROM pg_language l,
  LATERAL aclexplode(COALESCE(l.lanacl, acldefault('l', l.lanowner))) a
WHERE l.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_language'::regclass AND x.objid = l.oid
      AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, l.lanname
)sql"},
      {.kind = "grants on foreign servers", .check = "grants", .format = 2, .sql = R"sql(
SELECT format('%s: %s=%s by %s', o.name,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END,
    string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ',' ORDER BY
      a.privilege_type COLLATE "C"), pg_get_userbyid(a.grantor))
FROM (
  SELECT 'pg_foreign_data_wrapper'::regclass AS catalog, w.oid, format('wrapper %I', w.fdwname) AS name,
    COALESCE(w.fdwacl, acldefault('F', w.fdwowner)) AS acl
  FROM pg_foreign_data_wrapper w
  UNION ALL
  SELECT 'pg_foreign_server'::regclass, s.oid, format('server %I', s.srvname),
    COALESCE(s.srvacl, acldefault('S', s.srvowner))
  FROM pg_foreign_server s
) o,
  LATERAL aclexplode(o.acl) a
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = o.catalog AND x.objid = o.oid
    AND x.deptype = 'e')
GROUP BY a.grantee, a.grantor, o.name
)sql"},
      // Grants by initdb or an extension's script stand in pg_init_privs; what was added or taken away since then
      // counts, and pg_dump writes just that. "+" was granted, "-" was revoked. Changes inside of information_schema
      // are not dumped, and not looked at.
      {.kind = "grants on objects of the system and of extensions",
       .check = "grants",
       .format = 2,
       .sql = R"sql(
WITH objects AS (
  SELECT o.*, COALESCE(i.initprivs, acldefault(o.letter::"char", o.owner)) AS initial
  FROM (
    SELECT 'pg_class'::regclass AS catalog, c.oid, 0 AS part, c.relowner AS owner, c.relacl AS acl,
      CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END AS letter, n.nspname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl, NULL, n.nspname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl, 'f', n.nspname
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T', n.nspname
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    UNION ALL
    SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspowner, n.nspacl, 'n', n.nspname
    FROM pg_namespace n
    UNION ALL
    SELECT 'pg_language'::regclass, l.oid, 0, l.lanowner, l.lanacl, 'l', NULL
    FROM pg_language l
    WHERE l.lanispl
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, w.fdwowner, w.fdwacl, 'F', NULL
    FROM pg_foreign_data_wrapper w
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, s.oid, 0, s.srvowner, s.srvacl, 'S', NULL
    FROM pg_foreign_server s
  ) o
    LEFT JOIN pg_init_privs i ON i.classoid = o.catalog AND i.objoid = o.oid AND i.objsubid = o.part
  WHERE (o.acl IS NOT NULL OR i.initprivs IS NOT NULL)
    AND (o.nspname = 'pg_catalog' OR (o.nspname IS NULL AND o.oid < 16384)
      OR EXISTS (SELECT FROM pg_depend x WHERE x.classid = o.catalog AND x.objid = o.oid
        AND x.deptype = 'e'))
), now_granted AS (
  SELECT catalog, oid, part, CASE grantee WHEN 0 THEN 'PUBLIC' WHEN owner THEN 'its owner'
      ELSE pg_get_userbyid(grantee) END AS grantee, privilege_type, is_grantable
  FROM objects, LATERAL aclexplode(COALESCE(acl, acldefault(letter::"char", owner)))
), first_granted AS (
  SELECT catalog, oid, part, CASE grantee WHEN 0 THEN 'PUBLIC' WHEN owner THEN 'its owner'
      ELSE pg_get_userbyid(grantee) END AS grantee, privilege_type, is_grantable
  FROM objects, LATERAL aclexplode(initial)
), changed AS (
  SELECT '+' AS sign, a.* FROM (SELECT * FROM now_granted EXCEPT SELECT * FROM first_granted) a
  UNION ALL
  SELECT '-', r.* FROM (SELECT * FROM first_granted EXCEPT SELECT * FROM now_granted) r
)
SELECT format('%s %s: %s%s=%s%s', i.type, i.identity, k.sign, k.grantee, k.privilege_type,
    CASE WHEN k.is_grantable THEN '*' ELSE '' END)
FROM changed k,
  LATERAL pg_identify_object(k.catalog, k.oid, k.part) i
)sql"},
      {.kind = "grants on built-in languages", .check = "grants", .format = 2, .left_out = true, .sql = R"sql(
SELECT format('language %I: %s', l.lanname, l.lanacl)
FROM pg_language l
WHERE NOT l.lanispl
  AND l.lanacl IS NOT NULL
)sql"},
      {.kind = "default grants", .check = "grants", .sql = R"sql(
SELECT format('for %s in %s on %s: ', pg_get_userbyid(d.defaclrole), CASE WHEN d.defaclnamespace = 0
    THEN 'all schemas' ELSE d.defaclnamespace::regnamespace::text END, d.defaclobjtype)
    || COALESCE( (SELECT string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC'
        ELSE pg_get_userbyid(a.grantee) END || '=' || a.privilege_type || CASE WHEN a.is_grantable THEN
        '*' ELSE '' END, ',' ORDER BY pg_get_userbyid(a.grantee) COLLATE "C", a.privilege_type COLLATE
        "C") FROM aclexplode(d.defaclacl) a), 'none')
FROM pg_default_acl d
)sql"},
      {.kind = "large object grants", .check = "grants", .sql = R"sql(
SELECT format('%s large objects owner=%s acl=%s', count(*), pg_get_userbyid(m.lomowner), m.lomacl)
FROM pg_largeobject_metadata m
GROUP BY m.lomowner, m.lomacl
)sql"},
      // The objects that an extension brought along are left out, and so are what belongs to a part of something else
      // (a multirange, a type of a table), and a schema "public" that is still as the server made it.
      {.kind = "owners", .check = "grants", .format = 2, .sql = R"sql(
SELECT format('%s %s owner %s', i.type, i.identity, pg_get_userbyid(o.owner))
FROM (
  SELECT 'pg_namespace'::regclass AS catalog, oid, nspowner AS owner FROM pg_namespace
    WHERE NOT (nspname = 'public' AND nspowner IN (10, 6171))
  UNION ALL SELECT 'pg_class'::regclass, oid, relowner FROM pg_class
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
  UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typowner FROM pg_type t LEFT JOIN pg_class c
    ON c.oid = t.typrelid WHERE t.typtype <> 'm' AND (c.oid IS NULL OR c.relkind = 'c')
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  UNION ALL SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
  UNION ALL SELECT 'pg_conversion'::regclass, oid, conowner FROM pg_conversion
  UNION ALL SELECT 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
  UNION ALL SELECT 'pg_language'::regclass, oid, lanowner FROM pg_language
  UNION ALL SELECT 'pg_opclass'::regclass, oid, opcowner FROM pg_opclass
  UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
  UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily
  UNION ALL SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication
  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
  UNION ALL SELECT 'pg_subscription'::regclass, oid, subowner FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
) o,
  LATERAL pg_identify_object(o.catalog, o.oid, 0) i
WHERE (o.oid >= 16384 OR o.catalog = 'pg_namespace'::regclass)
  AND COALESCE(i.schema, i.name, '') !~ '^pg_'
  AND COALESCE(i.schema, i.name, '') <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = o.catalog AND x.objid = o.oid
      AND (x.deptype = 'e' OR (x.deptype = 'i' AND o.catalog = 'pg_proc'::regclass)))
)sql"},
  };
}

}  // namespace salvor::agent
