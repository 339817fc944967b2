// What of a database's catalogue is compared, as queries. Each gives one line of text per object, or a line
// and a body that is hashed. They run with an empty search path, so that names come out qualified.
#pragma once

#include <string>
#include <vector>

namespace salvor::agent {

struct CatalogQuery {
  const char* kind;   // of the CatalogSection
  const char* check;  // the kind of Check a difference belongs to: schema or grants
  int since = 0;      // first server_version_num that understands it
  int until = 99'99'99;
  std::string sql;
};

// In the order people want to read differences.
const std::vector<CatalogQuery>& CatalogQueries();

// True for sections whose text a server makes from parsed trees, which majors print differently.
bool IsDeparsed(const std::string& kind);

// Tables that migration tools keep their state in, by name.
const std::vector<std::string>& MigrationTableNames();

}  // namespace salvor::agent
