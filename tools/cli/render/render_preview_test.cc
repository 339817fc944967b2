#include "tools/cli/render/render_preview.h"

#include <gmock/gmock.h>

#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RenderPreview, SaysWhatBecomesOfEachObject) {
  const auto preview = FromText<v1::VeleroRestorePreview>(R"(
    creates { kind: "batch/v1/CronJob" objects: 1 } creates { kind: "v1/Service" objects: 2 } objects: 3
    claim_bytes: 1073741824
    changes { kind: "CronJob" name: "tick" field: "suspend" from: "false" to: "true" }
    changes { kind: "Service" name: "web" field: "external addresses" from: "192.0.2.1" }
    left_out: "Ingress front" conflicts: "Service db" not_restored: "ClusterRole reader")");
  EXPECT_EQ(RenderPreview(preview, Style()),
            "    create 1 CronJob\n"
            "    create 2 Services\n"
            "    space 1.00 GiB for all claims\n"
            "    change CronJob tick: suspend: false → true\n"
            "    change Service web: external addresses: 192.0.2.1 → nothing\n"
            "    leave out Ingress front\n"
            "    there already Service db\n"
            "    not restored, as it is of the cluster: ClusterRole reader\n");
  EXPECT_EQ(RenderPreview({}, Style()), "");
}

TEST(RenderPreview, ShowsTheFirstOfManyUnlessAskedForAll) {
  v1::VeleroRestorePreview preview;
  for (int i = 0; i < 25; ++i) preview.add_changes()->set_name("object-" + std::to_string(i));
  preview.set_changes_left_out(3);
  Style style;
  EXPECT_THAT(RenderPreview(preview, style), HasSubstr("    change 8 more\n"));
  EXPECT_THAT(RenderPreview(preview, style), Not(HasSubstr("object-20")));
  style.wide = true;
  EXPECT_THAT(RenderPreview(preview, style), HasSubstr("object-24"));
  EXPECT_THAT(RenderPreview(preview, style), HasSubstr("    change 3 more\n"));
}

TEST(RenderPreview, IsHarmless) {
  v1::VeleroRestorePreview preview;
  preview.add_left_out("Ingress \x1b[2J");
  EXPECT_THAT(RenderPreview(preview, Style()), Not(HasSubstr("\x1b[2J")));
}

}  // namespace
}  // namespace salvor::cli
