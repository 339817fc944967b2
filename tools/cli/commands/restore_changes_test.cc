#include "tools/cli/commands/restore_changes.h"

#include <gmock/gmock.h>

namespace salvor::cli {
namespace {

// The changes of the request; the error's text when they are refused.
std::string Changes(const RestoreChangeOptions& options) {
  v1::CreateRestoreRequest request;
  if (const Status added = AddRestoreChanges(options, request); !added.ok()) return MessageOf(added);
  return request.has_changes() ? request.changes().ShortDebugString() : "none";
}

TEST(RestoreChanges, AreWhatWasGivenAndNothingElse) {
  EXPECT_EQ(Changes({}), "none") << "an older control plane may be asked";
  RestoreChangeOptions options;
  options.keep_schedules = options.keep_load_balancers = options.keep_node_ports = options.with_ingress =
      true;
  EXPECT_EQ(Changes(options),
            "keep_schedules: true keep_load_balancers: true keep_node_ports: true with_ingress: true");
  options = {};
  options.storage_classes = {"fast=slow"};
  options.image_prefixes = {"a.test:5000/shop=b.test"};
  options.hosts = {"a.test=b.test"};
  EXPECT_EQ(
      Changes(options),
      R"(storage_classes { key: "fast" value: "slow" } )"
      R"(image_prefixes { key: "a.test:5000/shop" value: "b.test" } hosts { key: "a.test" value: "b.test" })");
}

TEST(RestoreChanges, OfNoNameOrOfOneTwiceAreRefused) {
  for (const char* text : {"", "=", "a", "a=", "=b", "a=b=c"}) {
    RestoreChangeOptions options;
    options.hosts = {text};
    EXPECT_THAT(Changes(options), testing::HasSubstr("--host wants OLD=NEW, not '")) << text;
  }
  RestoreChangeOptions twice;
  twice.storage_classes = {"a=b", "a=c"};
  EXPECT_EQ(Changes(twice), "--storage-class names 'a' twice");
}

}  // namespace
}  // namespace salvor::cli
