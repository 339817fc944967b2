// The places of a run's steps: a place for each host that its components name, and one for all that name none; one alone
// on a cluster. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/flow.pb.h"

namespace salvor::strategies {

class Places {
 public:
  // `hosts` are those that the run's components name, in their order and as often as they do; "" of one that names none.
  Places(std::string environment, const std::vector<std::string>& hosts);

  // Of a run on a cluster. Whatever works there could as well be done by another one that has the cluster's API.
  static Places OfCluster(std::string environment);

  // The host of the whole run's steps: that of the components that name none, else the first one.
  const std::string& MainHost() const { return hosts_.front(); }
  // The others, where the Location has to be opened too.
  std::vector<std::string> OtherHosts() const { return {hosts_.begin() + 1, hosts_.end()}; }

  void Put(const std::string& host, v1::Step* step) const;
  // A component's steps, whose first ones come after `root`: that opened the Location on their host, or came after it.
  void Settle(const std::string& component, const std::string& host, const std::string& root,
              std::vector<v1::Step>* steps) const;
  // The step that opens the Location on another host, `after` that which opened it on the main one.
  v1::Step AlsoOpened(const v1::Step& first, const std::string& host, const std::string& after) const;
  // Declares them in the flow. Steps that were put nowhere are at the main host. On a cluster, where a place moves,
  // those that open or release an obligation are at one that does not.
  void Close(v1::Flow* flow) const;

 private:
  std::string NameOf(const std::string& host) const;
  void KeepWithOneAgent(v1::Flow* flow) const;

  std::string environment_;
  bool is_cluster_ = false;
  std::vector<std::string> hosts_;  // each once, and never none
};

}  // namespace salvor::strategies
