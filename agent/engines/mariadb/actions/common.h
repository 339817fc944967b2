// Shared by MariaDB's actions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/engines/mariadb/inventory.h"
#include "agent/engines/mariadb/session.h"
#include "agent/work/action.h"
#include "base/status.h"
#include "salvor/v1/mariadb_details.pb.h"

namespace salvor::agent {

// The server that restored things go to, resolved.
struct ResolvedMariadbTarget {
  v1::MariadbConnection connection;
  bool scratch = false;
};

StatusOr<ResolvedMariadbTarget> ResolveMariadbTarget(const v1::MariadbTarget& target, ActionContext& context);

// A session that ends with the attempt.
StatusOr<std::unique_ptr<MariadbSession>> OpenMariadb(const v1::MariadbConnection& where,
                                                      ActionContext& context);

// "shop" of `shop`, and what it is not: a database of the server's own, or one whose name tools could misread.
Status CheckMariadbDatabase(const std::string& name);

std::vector<std::string> DatabaseNames(const v1::MariadbDetails& details);

StatusOr<std::string> MariadbDetailsToJson(const v1::MariadbDetails& details);
StatusOr<v1::MariadbDetails> LoadMariadbDetails(const ActionContext& context,
                                                const v1::ResticLocation& location,
                                                const v1::Artifact& artifact);

// Things that stand in the way, told all at once.
class MariadbProblems {
 public:
  void Add(const std::string& message, const std::string& hint = "");
  bool Empty() const { return messages_.empty(); }
  Status AsRefusal() const;  // OK without any

 private:
  std::vector<std::string> messages_, hints_;
};

}  // namespace salvor::agent
