#include "tools/cli/commands/restore_changes.h"

#include "base/text.h"

namespace salvor::cli {
namespace {

Status AddNames(const std::vector<std::string>& texts, const std::string& flag,
                google::protobuf::Map<std::string, std::string>* names) {
  for (const std::string& text : texts) {
    const size_t cut = text.find('=');
    if (cut == std::string::npos || cut == 0 || cut + 1 == text.size() ||
        text.find('=', cut + 1) != std::string::npos)
      return InvalidArgument("{} wants OLD=NEW, not '{}'", flag, CleanText(text));
    if (!names->insert({text.substr(0, cut), text.substr(cut + 1)}).second)
      return InvalidArgument("{} names '{}' twice", flag, CleanText(text.substr(0, cut)));
  }
  return OkStatus();
}

}  // namespace

void AddRestoreChangeOptions(CLI::App& command, RestoreChangeOptions& options) {
  const auto add_names = [&](const std::string& flag, std::vector<std::string>& texts,
                             const std::string& what) {
    command.add_option(flag, texts, "on a cluster: " + what + "; may be repeated")
        ->type_name("OLD=NEW")
        ->allow_extra_args(false);
  };
  add_names("--storage-class", options.storage_classes, "claims of one storage class get another one");
  add_names("--image-prefix", options.image_prefixes, "images come from another registry, or folder there");
  add_names("--host", options.hosts, "a host of Ingresses and routes gets another name");
  command.add_flag("--keep-schedules", options.keep_schedules,
                   "on a cluster: a copy's CronJobs run, too; else they are suspended");
  command.add_flag("--keep-load-balancers", options.keep_load_balancers,
                   "on a cluster: a copy has load balancers, too; else their Services become ClusterIP");
  command.add_flag("--keep-node-ports", options.keep_node_ports,
                   "on a cluster: a copy wants the same node ports; else the cluster chooses them");
  command.add_flag("--with-ingress", options.with_ingress,
                   "on a cluster: a copy has Ingresses, routes and gateways, too; else they are left out");
}

Status AddRestoreChanges(const RestoreChangeOptions& options, v1::CreateRestoreRequest& request) {
  v1::RestoreChanges changes;
  changes.set_keep_schedules(options.keep_schedules);
  changes.set_keep_load_balancers(options.keep_load_balancers);
  changes.set_keep_node_ports(options.keep_node_ports);
  changes.set_with_ingress(options.with_ingress);
  RETURN_IF_ERROR(AddNames(options.storage_classes, "--storage-class", changes.mutable_storage_classes()));
  RETURN_IF_ERROR(AddNames(options.image_prefixes, "--image-prefix", changes.mutable_image_prefixes()));
  RETURN_IF_ERROR(AddNames(options.hosts, "--host", changes.mutable_hosts()));
  if (changes.ByteSizeLong() > 0) *request.mutable_changes() = std::move(changes);
  return OkStatus();
}

}  // namespace salvor::cli
