// The queries by which a database's catalogue is compared. They run with an empty search path, so that names come out
// qualified, and look at the schemas of the user only, and at no object that an extension brings along (its version
// stands for those).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace salvor::agent {

// The form of the texts in DatabaseDetails, raised whenever a query's text changes, so that text of one form
// is never compared with that of another. Version 0.1 wrote 1, and did not say so.
inline constexpr int kDetailsFormat = 2;

// How the server can be made to read a statement of its own printing once more. A tree prints differently
// once it was dumped and restored, so statements that differ are compared after both were read again.
enum class Reading {
  kNone,      // lines only
  kQuery,     // the statement is a query: as the body of a view
  kRule,      // CREATE RULE … TO the relation in the third column
  kFunction,  // CREATE OR REPLACE FUNCTION the name in the third column
};

// A query gives up to four columns: one line of text per object; a statement printed from a parse tree, or
// NULL; the qualified and quoted name that the statement speaks of, where its Reading needs one; and text of
// which a fingerprint becomes a part of the line (long, or secret), or NULL. Lines are compared as text.
struct CatalogQuery {
  const char* kind;   // of the CatalogSection
  const char* check;  // the kind of Check a difference belongs to: schema or grants
  int since = 0;      // first server_version_num that understands it
  int until = 99'99'99;
  int format = 1;  // the first details format with this text
  Reading reading = Reading::kNone;
  // Set where pg_dump leaves the fact out: that it is missing after a restore is expected and named, that
  // there is one more is a fault.
  bool left_out = false;
  bool set_again =
      false;  // of left_out: a restore sets it by itself, where the backup is of a version that says how
  const char* sql = "";
};

// All of them, in the order people want to read differences.
const std::vector<CatalogQuery>& CatalogQueries();

// The query of a kind of section; null for a kind that is not known here.
// For a server of this version, or any where it is 0 or none is for it; null for a kind nobody knows.
const CatalogQuery* FindCatalogQuery(std::string_view kind, int server_version_num = 0);

// Two kinds of which the first becomes the second by a restore: the schema is a new one.
inline constexpr std::string_view kFirstGrants = "first grants of a renamed public";
inline constexpr std::string_view kSchemaGrants = "grants on schemas";

// True for sections whose text a server makes from parsed trees, which majors print differently.
bool IsDeparsed(const std::string& kind);

// A schema "public" that nobody used or changed, which every new database has: the end of its line.
inline constexpr std::string_view kUnusedPublicSchema = "public as in every new database";

// Tables that migration tools keep their state in, by name.
const std::vector<std::string>& MigrationTableNames();

// Parts of CatalogQueries.
std::vector<CatalogQuery> RelationQueries();
std::vector<CatalogQuery> RoutineAndTypeQueries();
std::vector<CatalogQuery> OtherObjectQueries();
std::vector<CatalogQuery> GrantQueries();

}  // namespace salvor::agent
