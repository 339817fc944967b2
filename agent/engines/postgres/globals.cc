#include "agent/engines/postgres/globals.h"

#include <map>

#include "agent/engines/postgres/inventory.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

struct Attribute {
  const char* column;
  const char* yes;
  const char* no;
};

constexpr Attribute kAttributes[] = {{"rolsuper", "SUPERUSER", "NOSUPERUSER"},
                                     {"rolinherit", "INHERIT", "NOINHERIT"},
                                     {"rolcreaterole", "CREATEROLE", "NOCREATEROLE"},
                                     {"rolcreatedb", "CREATEDB", "NOCREATEDB"},
                                     {"rolcanlogin", "LOGIN", "NOLOGIN"},
                                     {"rolreplication", "REPLICATION", "NOREPLICATION"},
                                     {"rolbypassrls", "BYPASSRLS", "NOBYPASSRLS"}};

using Roles = std::map<std::string, v1::RoleStatements>;

void Append(v1::RoleStatements& role, const std::string& fact) {
  role.set_fingerprint(role.fingerprint() + (role.fingerprint().empty() ? "" : "; ") + fact);
}

Status CaptureRoles(Connection& connection, bool with_passwords, Roles& roles) {
  std::string sql =
      "SELECT rolname, rolconnlimit, COALESCE(rolvaliduntil::text, ''), COALESCE(rolpassword, ''),"
      " COALESCE(shobj_description(oid, 'pg_authid'), '')";
  for (const Attribute& attribute : kAttributes) sql += fmt::format(", {}", attribute.column);
  sql += with_passwords ? " FROM pg_authid" : " FROM pg_roles";
  ASSIGN_OR_RETURN(Rows rows, connection.Query(sql + " WHERE rolname !~ '^pg_' ORDER BY rolname"));
  for (int i = 0; i < rows.Count(); ++i) {
    v1::RoleStatements role;
    role.set_role(AsUtf8(rows.View(i, 0)));
    const std::string name = connection.Identifier(rows.View(i, 0));
    std::string attributes;
    for (size_t k = 0; k < std::size(kAttributes); ++k) {
      attributes += rows.Bool(i, static_cast<int>(5 + k)) ? kAttributes[k].yes : kAttributes[k].no;
      attributes += " ";
    }
    attributes += fmt::format("CONNECTION LIMIT {}", rows.Int(i, 1));
    if (!rows.View(i, 2).empty()) attributes += " VALID UNTIL " + connection.Literal(rows.View(i, 2));
    role.set_fingerprint(attributes);
    const std::string password = with_passwords ? rows.Text(i, 3) : "";
    role.set_create(AsUtf8(fmt::format("CREATE ROLE {} WITH {}{}", name, attributes,
                                       password.empty() ? "" : " PASSWORD " + connection.Literal(password))));
    if (!rows.View(i, 4).empty()) {
      role.add_after(
          AsUtf8(fmt::format("COMMENT ON ROLE {} IS {}", name, connection.Literal(rows.View(i, 4)))));
    }
    roles[role.role()] = std::move(role);
  }
  return OkStatus();
}

constexpr char kMemberships[] = R"sql(
SELECT pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), bool_or(m.admin_option),
  bool_or(m.inherit_option), bool_or(m.set_option), bool_or(r.rolinherit)
FROM pg_auth_members m
  JOIN pg_roles r ON r.oid = m.member
GROUP BY m.roleid, m.member
ORDER BY 1, 2
)sql";

constexpr char kMembershipsBefore16[] = R"sql(
SELECT pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), bool_or(m.admin_option), true, true, true
FROM pg_auth_members m
  JOIN pg_roles r ON r.oid = m.member
GROUP BY m.roleid, m.member
ORDER BY 1, 2
)sql";

// Options of a membership that only PostgreSQL 16 knows are named when they are not the default.
Status CaptureMemberships(Connection& connection, Roles& roles) {
  const bool options = connection.ServerVersion() >= 160000;
  ASSIGN_OR_RETURN(Rows rows, connection.Query(options ? kMemberships : kMembershipsBefore16));
  for (int i = 0; i < rows.Count(); ++i) {
    // A predefined role is a member of another because of that other one.
    auto member = roles.find(AsUtf8(rows.View(i, 1)));
    const bool predefined = member == roles.end();
    if (predefined) member = roles.find(AsUtf8(rows.View(i, 0)));
    if (member == roles.end()) continue;
    std::vector<std::string> with;
    if (rows.Bool(i, 2)) with.push_back(options ? "ADMIN TRUE" : "ADMIN OPTION");
    if (rows.Bool(i, 3) != rows.Bool(i, 5))
      with.push_back(rows.Bool(i, 3) ? "INHERIT TRUE" : "INHERIT FALSE");
    if (!rows.Bool(i, 4)) with.push_back("SET FALSE");
    const std::string tail = with.empty() ? "" : " WITH " + Join(with, ", ");
    member->second.add_after(AsUtf8(fmt::format("GRANT {} TO {}{}", connection.Identifier(rows.View(i, 0)),
                                                connection.Identifier(rows.View(i, 1)), tail)));
    const std::string fact = predefined
                                 ? fmt::format("has the member {}", connection.Identifier(rows.View(i, 1)))
                                 : fmt::format("member of {}", connection.Identifier(rows.View(i, 0)));
    Append(member->second, AsUtf8(fmt::format("{}{}{}{}", fact, rows.Bool(i, 2) ? " with admin option" : "",
                                              rows.Bool(i, 3) != rows.Bool(i, 5) ? " other inheritance" : "",
                                              rows.Bool(i, 4) ? "" : " without set")));
  }
  return OkStatus();
}

Status CaptureSettings(Connection& connection, Roles& roles) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(
                                  R"(
SELECT pg_get_userbyid(s.setrole), c
  FROM pg_db_role_setting s, LATERAL unnest(s.setconfig) c
 WHERE s.setdatabase = 0 AND s.setrole <> 0
 ORDER BY 1, c COLLATE "C")"));
  for (int i = 0; i < rows.Count(); ++i) {
    const auto role = roles.find(AsUtf8(rows.View(i, 0)));
    if (role == roles.end()) continue;
    const std::string assignment = SettingAssignment(connection, rows.Text(i, 1));
    role->second.add_after(
        AsUtf8(fmt::format("ALTER ROLE {} SET {}", connection.Identifier(rows.View(i, 0)), assignment)));
    Append(role->second, AsUtf8("set " + assignment));
  }
  return OkStatus();
}

// Settings of all roles belong to none.
Status CaptureServerSettings(Connection& connection, v1::GlobalsDetails& details) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(R"sql(
      SELECT c FROM pg_db_role_setting s, LATERAL unnest(s.setconfig) c
       WHERE s.setdatabase = 0 AND s.setrole = 0
       ORDER BY c COLLATE "C")sql"));
  for (int i = 0; i < rows.Count(); ++i) {
    details.add_server_statements(
        AsUtf8("ALTER ROLE ALL SET " + SettingAssignment(connection, rows.Text(i, 0))));
  }
  return OkStatus();
}

// Who may set what only superusers may set otherwise. The bootstrap superuser owns every parameter.
Status CaptureParameterGrants(Connection& connection, Roles& roles, v1::GlobalsDetails& details) {
  if (connection.ServerVersion() < 150000) return OkStatus();
  ASSIGN_OR_RETURN(Rows rows, connection.Query(R"sql(
      SELECT a.grantee = 0, CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
             a.privilege_type, p.parname, a.is_grantable
        FROM pg_parameter_acl p, LATERAL aclexplode(p.paracl) a
       WHERE a.grantee <> 10
       ORDER BY 1, 2, p.parname COLLATE "C", a.privilege_type COLLATE "C")sql"));
  for (int i = 0; i < rows.Count(); ++i) {
    const std::string what =
        fmt::format("{} ON PARAMETER {}", rows.View(i, 2), connection.Identifier(rows.View(i, 3)));
    const char* option = rows.Bool(i, 4) ? " WITH GRANT OPTION" : "";
    if (rows.Bool(i, 0)) {
      details.add_server_statements(fmt::format("GRANT {} TO PUBLIC", what));
      continue;
    }
    const auto role = roles.find(AsUtf8(rows.View(i, 1)));
    if (role == roles.end()) continue;
    role->second.add_after(
        AsUtf8(fmt::format("GRANT {} TO {}{}", what, connection.Identifier(rows.View(i, 1)), option)));
    Append(role->second, AsUtf8(fmt::format("may {}{}", what, option)));
  }
  return OkStatus();
}

}  // namespace

StatusOr<Globals> CaptureGlobals(Connection& connection) {
  Globals globals;
  ASSIGN_OR_RETURN(Rows privilege, connection.Query("SELECT has_table_privilege('pg_authid', 'SELECT')"));
  const bool readable = privilege.Count() == 1 && privilege.Bool(0, 0);
  globals.passwords_readable = readable;
  if (!readable) {
    globals.warnings.push_back(
        "the passwords of roles are not readable for this user: restored roles will have none");
  }
  Roles roles;
  RETURN_IF_ERROR(CaptureRoles(connection, readable, roles));
  RETURN_IF_ERROR(CaptureMemberships(connection, roles));
  RETURN_IF_ERROR(CaptureSettings(connection, roles));
  RETURN_IF_ERROR(CaptureParameterGrants(connection, roles, globals.details));
  RETURN_IF_ERROR(CaptureServerSettings(connection, globals.details));
  globals.details.set_server_version_num(connection.ServerVersion());
  for (auto& role : roles) *globals.details.add_roles() = std::move(role.second);
  return globals;
}

}  // namespace salvor::agent
