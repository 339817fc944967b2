// Routines and types, and the rarer kinds of objects.
#include "agent/engines/postgres/catalog_queries.h"

namespace salvor::agent {

std::vector<CatalogQuery> RoutineAndTypeQueries() {
  return {
      // A function that the server made itself for a type (constructors of ranges) follows from the type.
      {.kind = "functions",
       .check = "schema",
       .until = 139999,
       .format = 2,
       .reading = Reading::kFunction,
       .sql = R"sql(
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
  CASE WHEN p.proargdefaults IS NOT NULL THEN pg_get_functiondef(p.oid) END,
  format('%I.%I', n.nspname, p.proname),
  CASE WHEN p.proargdefaults IS NULL THEN pg_get_functiondef(p.oid) END
FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype IN ('e', 'i'))
)sql"},
      {.kind = "functions",
       .check = "schema",
       .since = 140000,
       .format = 2,
       .reading = Reading::kFunction,
       .sql = R"sql(
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
  CASE WHEN p.proargdefaults IS NOT NULL OR p.prosqlbody IS NOT NULL THEN pg_get_functiondef(p.oid) END,
  format('%I.%I', n.nspname, p.proname),
  CASE WHEN p.proargdefaults IS NULL AND p.prosqlbody IS NULL THEN pg_get_functiondef(p.oid) END
FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype IN ('e', 'i'))
)sql"},
      {.kind = "aggregates", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I.%I(%s) kind=%s direct=%s parallel=%s transition=%s final=%s %s %s combine=%s serial=%s'
        ' deserial=%s type=%s space=%s initial=%s sort=%s', n.nspname, p.proname,
      pg_get_function_identity_arguments(p.oid), a.aggkind, a.aggnumdirectargs, p.proparallel,
      a.aggtransfn::regprocedure, a.aggfinalfn::regprocedure, a.aggfinalextra, a.aggfinalmodify,
      a.aggcombinefn::regprocedure, a.aggserialfn::regprocedure, a.aggdeserialfn::regprocedure,
      a.aggtranstype::regtype, a.aggtransspace, quote_nullable(a.agginitval), a.aggsortop::regoperator)
    || CASE WHEN a.aggmtransfn::oid = 0 THEN '' ELSE format(' moving transition=%s inverse=%s final=%s %s %s'
        ' type=%s space=%s initial=%s', a.aggmtransfn::regprocedure, a.aggminvtransfn::regprocedure,
        a.aggmfinalfn::regprocedure, a.aggmfinalextra, a.aggmfinalmodify, a.aggmtranstype::regtype,
        a.aggmtransspace, quote_nullable(a.aggminitval)) END
FROM pg_aggregate a
  JOIN pg_proc p ON p.oid = a.aggfnoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
      AND x.deptype = 'e')
)sql"},
      // Multiranges come and go with their ranges.
      {.kind = "types", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I type=%s', n.nspname, t.typname, CASE WHEN t.typisdefined THEN t.typtype::text ELSE
      'shell' END)
    || COALESCE(' labels ' || (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
        FROM pg_enum e WHERE e.enumtypid = t.oid), '')
    || CASE WHEN t.typtype = 'd' THEN format(' %s not null=%s%s%s', format_type(t.typbasetype, t.typtypmod),
        t.typnotnull, CASE WHEN t.typcollation <> (SELECT b.typcollation FROM pg_type b
          WHERE b.oid = t.typbasetype) THEN ' collate ' || t.typcollation::regcollation ELSE '' END,
        CASE WHEN t.typdefaultbin IS NULL THEN '' ELSE ' default' END) ELSE '' END
    || CASE WHEN t.typtype = 'b' AND t.typisdefined THEN format(' length=%s by value=%s category=%s'
        ' preferred=%s delimiter=%s align=%s storage=%s collatable=%s element=%s input=%s output=%s receive=%s'
        ' send=%s typmod=%s,%s analyze=%s subscript=%s default=%s', t.typlen, t.typbyval, t.typcategory,
        t.typispreferred, t.typdelim, t.typalign, t.typstorage, t.typcollation <> 0, t.typelem::regtype,
        t.typinput::regprocedure, t.typoutput::regprocedure, t.typreceive::regprocedure,
        t.typsend::regprocedure, t.typmodin::regprocedure, t.typmodout::regprocedure,
        t.typanalyze::regprocedure, to_jsonb(t)->>'typsubscript', quote_nullable(t.typdefault)) ELSE '' END
    || COALESCE((SELECT format(' range of %s class=%I.%I collation=%s canonical=%s difference=%s'
          ' multirange=%s', r.rngsubtype::regtype, w.nspname, o.opcname, r.rngcollation::regcollation,
          r.rngcanonical::regprocedure, r.rngsubdiff::regprocedure,
          (to_jsonb(r)->>'rngmultitypid')::oid::regtype)
        FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc JOIN pg_namespace w ON w.oid = o.opcnamespace
        WHERE r.rngtypid = t.oid), ''),
  CASE WHEN t.typtype = 'd' THEN
    'SELECT WHERE (ROW(' || pg_get_expr(t.typdefaultbin, 0) || ') IS NULL)' END
FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typtype <> 'm'
  AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND (c.oid IS NULL OR c.relkind = 'c')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "domain constraints", .check = "schema", .format = 2, .reading = Reading::kQuery, .sql = R"sql(
SELECT format('%I.%I %I validated=%s', n.nspname, t.typname, k.conname, k.convalidated),
  format('SELECT FROM (SELECT NULL::%s AS value) d WHERE (%s)', format_type(t.typbasetype, t.typtypmod),
    pg_get_expr(k.conbin, 0))
FROM pg_constraint k
  JOIN pg_type t ON t.oid = k.contypid
  JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE k.contype = 'c'
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
)sql"},
  };
}

std::vector<CatalogQuery> OtherObjectQueries() {
  return {
      {.kind = "operators", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%s %s result=%s commutator=%s negator=%s restrict=%s join=%s merges=%s hashes=%s',
    o.oid::regoperator, o.oprcode::regprocedure, o.oprresult::regtype, o.oprcom::regoperator,
    o.oprnegate::regoperator, o.oprrest::regprocedure, o.oprjoin::regprocedure, o.oprcanmerge, o.oprcanhash)
FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_operator'::regclass
      AND x.objid = o.oid AND x.deptype = 'e')
)sql"},
      {.kind = "operator classes", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I.%I using %s for %s default=%s family=%I.%I storage=%s', n.nspname, o.opcname, m.amname,
    o.opcintype::regtype, o.opcdefault, w.nspname, f.opfname, o.opckeytype::regtype)
FROM pg_opclass o
  JOIN pg_am m ON m.oid = o.opcmethod
  JOIN pg_namespace n ON n.oid = o.opcnamespace
  JOIN pg_opfamily f ON f.oid = o.opcfamily
  JOIN pg_namespace w ON w.oid = f.opfnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_opclass'::regclass
      AND x.objid = o.oid AND x.deptype = 'e')
)sql"},
      {.kind = "operator families", .check = "schema", .format = 2, .sql = R"sql(
WITH families AS (
  SELECT f.oid, format('%I.%I using %I', n.nspname, f.opfname, m.amname) AS name
  FROM pg_opfamily f
    JOIN pg_am m ON m.oid = f.opfmethod
    JOIN pg_namespace n ON n.oid = f.opfnamespace
  WHERE n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_opfamily'::regclass
        AND x.objid = f.oid AND x.deptype = 'e')
)
SELECT name FROM families
UNION ALL
SELECT format('%s operator %s %s purpose=%s sort=%s', f.name, o.amopstrategy, o.amopopr::regoperator,
    o.amoppurpose, (SELECT format('%I.%I', n.nspname, s.opfname) FROM pg_opfamily s
      JOIN pg_namespace n ON n.oid = s.opfnamespace WHERE s.oid = o.amopsortfamily))
FROM families f JOIN pg_amop o ON o.amopfamily = f.oid
UNION ALL
SELECT format('%s function %s (%s, %s) %s', f.name, p.amprocnum, p.amproclefttype::regtype,
    p.amprocrighttype::regtype, p.amproc::regprocedure)
FROM families f JOIN pg_amproc p ON p.amprocfamily = f.oid
)sql"},
      {.kind = "access methods", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I type=%s handler=%s', m.amname, m.amtype, m.amhandler::regprocedure)
FROM pg_am m
WHERE m.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_am'::regclass AND x.objid = m.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "casts", .check = "schema", .sql = R"sql(
SELECT format('%s to %s context=%s method=%s function=%s', k.castsource::regtype, k.casttarget::regtype,
    k.castcontext, k.castmethod, k.castfunc::regprocedure)
FROM pg_cast k
WHERE k.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_cast'::regclass AND x.objid = k.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "transforms", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('for %s language %I from=%s to=%s', t.trftype::regtype, l.lanname, t.trffromsql::regprocedure,
    t.trftosql::regprocedure)
FROM pg_transform t
  JOIN pg_language l ON l.oid = t.trflang
WHERE t.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_transform'::regclass AND x.objid = t.oid
      AND x.deptype = 'e')
)sql"},
      {.kind = "conversions", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I.%I from %s to %s function=%s default=%s', n.nspname, k.conname,
    pg_encoding_to_char(k.conforencoding), pg_encoding_to_char(k.contoencoding), k.conproc::regprocedure,
    k.condefault)
FROM pg_conversion k
  JOIN pg_namespace n ON n.oid = k.connamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_conversion'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')
)sql"},
      // The encoding is left out: CREATE COLLATION stamps the database's own on what was good for any.
      {.kind = "collations", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I.%I provider=%s collate=%s ctype=%s locale=%s rules=%s deterministic=%s',
    n.nspname, k.collname, k.collprovider, k.collcollate, k.collctype,
    COALESCE(to_jsonb(k)->>'colllocale', to_jsonb(k)->>'colliculocale'), to_jsonb(k)->>'collicurules',
    k.collisdeterministic)
FROM pg_collation k
  JOIN pg_namespace n ON n.oid = k.collnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_collation'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')
)sql"},
      {.kind = "text search", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('configuration %I.%I parser=%I.%I', n.nspname, k.cfgname, w.nspname, p.prsname)
    || COALESCE(' ' || (SELECT string_agg(m.maptokentype || ':' || m.mapdict::regdictionary::text, ','
        ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = k.oid), '')
FROM pg_ts_config k
  JOIN pg_namespace n ON n.oid = k.cfgnamespace
  JOIN pg_ts_parser p ON p.oid = k.cfgparser
  JOIN pg_namespace w ON w.oid = p.prsnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_ts_config'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')
UNION ALL
SELECT format('dictionary %I.%I template=%I.%I options=%s', n.nspname, d.dictname, w.nspname, t.tmplname,
    d.dictinitoption)
FROM pg_ts_dict d
  JOIN pg_namespace n ON n.oid = d.dictnamespace
  JOIN pg_ts_template t ON t.oid = d.dicttemplate
  JOIN pg_namespace w ON w.oid = t.tmplnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_ts_dict'::regclass
      AND x.objid = d.oid AND x.deptype = 'e')
UNION ALL
SELECT format('template %I.%I init=%s lexize=%s', n.nspname, t.tmplname, t.tmplinit::regprocedure,
    t.tmpllexize::regprocedure)
FROM pg_ts_template t
  JOIN pg_namespace n ON n.oid = t.tmplnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_ts_template'::regclass
      AND x.objid = t.oid AND x.deptype = 'e')
UNION ALL
SELECT format('parser %I.%I start=%s token=%s end=%s headline=%s types=%s', n.nspname, p.prsname,
    p.prsstart::regprocedure, p.prstoken::regprocedure, p.prsend::regprocedure,
    p.prsheadline::regprocedure, p.prslextype::regprocedure)
FROM pg_ts_parser p
  JOIN pg_namespace n ON n.oid = p.prsnamespace
WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_ts_parser'::regclass
      AND x.objid = p.oid AND x.deptype = 'e')
)sql"},
      {.kind = "languages", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I trusted=%s handler=%s inline=%s validator=%s', l.lanname, l.lanpltrusted,
    l.lanplcallfoid::regprocedure, l.laninline::regprocedure, l.lanvalidator::regprocedure)
FROM pg_language l
WHERE l.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_language'::regclass
      AND x.objid = l.oid AND x.deptype = 'e')
)sql"},
      {.kind = "event triggers", .check = "schema", .sql = R"sql(
SELECT format('%I on %s execute %s enabled=%s tags=%s', e.evtname, e.evtevent, e.evtfoid::regprocedure,
    e.evtenabled, array_to_string(e.evttags, ','))
FROM pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_event_trigger'::regclass
    AND x.objid = e.oid AND x.deptype = 'e')
)sql"},
      {.kind = "extension properties", .check = "extensions", .format = 2, .sql = R"sql(
SELECT format('%I in schema %I, comment %L', e.extname, n.nspname, obj_description(e.oid, 'pg_extension'))
FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql'
)sql"},
      {.kind = "publications", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I all=%s insert=%s update=%s delete=%s truncate=%s root=%s generated=%s', p.pubname,
    p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, to_jsonb(p)->>'pubviaroot',
    NULLIF(to_jsonb(p)->>'pubgencols', 'n'))
FROM pg_publication p
)sql"},
      {.kind = "published tables", .check = "schema", .until = 149999, .format = 2, .sql = R"sql(
SELECT format('%I table %s', p.pubname, r.prrelid::regclass)
FROM pg_publication_rel r
  JOIN pg_publication p ON p.oid = r.prpubid
)sql"},
      {.kind = "published tables",
       .check = "schema",
       .since = 150000,
       .format = 2,
       .reading = Reading::kQuery,
       .sql = R"sql(
SELECT format('%I table %s%s', p.pubname, r.prrelid::regclass, (SELECT format(' (%s)', string_agg(
      quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")) FROM pg_attribute a
      WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]) HAVING count(*) > 0)),
  format('SELECT FROM ONLY %s WHERE (%s)', r.prrelid::regclass, pg_get_expr(r.prqual, r.prrelid))
    || CASE WHEN r.prqual IS NULL THEN NULL ELSE '' END
FROM pg_publication_rel r
  JOIN pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT format('%I schema %I', p.pubname, n.nspname), NULL
FROM pg_publication_namespace r
  JOIN pg_publication p ON p.oid = r.pnpubid
  JOIN pg_namespace n ON n.oid = r.pnnspid
)sql"},
      // A restored subscription is disabled and has no slot of its own. The connection string is read only
      // where the user may read it, and leaves a fingerprint.
      {.kind = "subscriptions", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%I publications=%s slot=%s synchronous commit=%s', s.subname,
      array_to_string(s.subpublications, ','), s.subslotname, s.subsynccommit),
  NULL, NULL,
  CASE WHEN has_column_privilege('pg_subscription', 'subconninfo', 'SELECT') THEN query_to_xml(format(
    'SELECT subconninfo FROM pg_subscription WHERE oid = %s', s.oid), true, true, '')::text END
FROM pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
)sql"},
      {.kind = "options of subscriptions", .check = "schema", .since = 140000, .format = 2, .sql = R"sql(
SELECT format('%I binary=%s stream=%s', s.subname, s.subbinary, s.substream)
FROM pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
)sql"},
      // Options hold passwords, so only their fingerprint is kept.
      {.kind = "foreign servers", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('wrapper %I handler=%s validator=%s', w.fdwname, w.fdwhandler::regprocedure,
    w.fdwvalidator::regprocedure), NULL, NULL,
  array_to_string(ARRAY(SELECT o FROM unnest(w.fdwoptions) o ORDER BY o COLLATE "C"), E'\n')
FROM pg_foreign_data_wrapper w
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_foreign_data_wrapper'::regclass
    AND x.objid = w.oid AND x.deptype = 'e')
UNION ALL
SELECT format('server %I wrapper %I type=%s version=%s', s.srvname, w.fdwname, s.srvtype, s.srvversion),
  NULL, NULL, array_to_string(ARRAY(SELECT o FROM unnest(s.srvoptions) o ORDER BY o COLLATE "C"), E'\n')
FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_foreign_server'::regclass
    AND x.objid = s.oid AND x.deptype = 'e')
UNION ALL
SELECT format('mapping of %s on %I', CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE u.usename END, u.srvname),
  NULL, NULL, array_to_string(ARRAY(SELECT o FROM unnest(u.umoptions) o ORDER BY o COLLATE "C"), E'\n')
FROM pg_user_mappings u
UNION ALL
SELECT format('table %s on %I', t.ftrelid::regclass, s.srvname), NULL, NULL,
  array_to_string(ARRAY(SELECT o FROM unnest(t.ftoptions) o ORDER BY o COLLATE "C"), E'\n')
  || COALESCE((SELECT string_agg(E'\n' || quote_ident(a.attname) || array_to_string(ARRAY(SELECT o
      FROM unnest(a.attfdwoptions) o ORDER BY o COLLATE "C"), E'\n'), '' ORDER BY a.attname COLLATE "C")
    FROM pg_attribute a WHERE a.attrelid = t.ftrelid AND a.attfdwoptions IS NOT NULL), '')
FROM pg_foreign_table t
  JOIN pg_foreign_server s ON s.oid = t.ftserver
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass
    AND x.objid = t.ftrelid AND x.deptype = 'e')
)sql"},
      // Comments on system objects are not dumped, apart from that on the schema public, whatever its name.
      {.kind = "comments", .check = "schema", .format = 2, .sql = R"sql(
SELECT format('%s %s: %s', i.type, i.identity, d.description)
FROM pg_description d,
  LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE (d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass)
  AND COALESCE(i.name, '') !~ '^(pg_catalog|pg_toast|information_schema)$'
  AND COALESCE(i.schema, '') !~ '^(pg_|information_schema$)'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid
      AND x.deptype = 'e')
  AND d.classoid <> 'pg_extension'::regclass
  AND NOT (d.classoid = 'pg_namespace'::regclass AND i.identity = 'public'
      AND d.description = 'standard public schema')
)sql"},
      {.kind = "security labels", .check = "schema", .sql = R"sql(
SELECT format('%s %s %s: %s', l.objtype, l.objname, l.provider, l.label)
FROM pg_seclabels l
WHERE l.objtype NOT IN ('role', 'database', 'tablespace')
)sql"},
      {.kind = "kind of database", .check = "schema", .format = 2, .sql = R"sql(
SELECT 'is a template' FROM pg_database d WHERE d.datname = current_database() AND d.datistemplate
)sql"},
  };
}

}  // namespace salvor::agent
