#include "agent/kubernetes/velero/image_name.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace salvor::velero {
namespace {

struct Case {
  std::string image;
  std::map<std::string, std::string> prefixes;
  std::string moved;
};

TEST(ImageName, MovesWhatIsUnderThePrefix) {
  for (const Case& one : {
           Case{"a.test/shop/web:1", {{"a.test", "b.test"}}, "b.test/shop/web:1"},
           Case{"a.test/shop/web:1", {{"a.test/", "b.test/"}}, "b.test/shop/web:1"},
           Case{"a.test/shop/web:1", {{"a.test/shop", "b.test/x/y"}}, "b.test/x/y/web:1"},
           Case{"a.test/shop/web@sha256:0f", {{"a.test/shop/web", "b.test/w"}}, "b.test/w@sha256:0f"},
           Case{"a.test/shop/web:1", {{"a.test/shop/web", "b.test/w"}}, "b.test/w:1"},
           Case{"a.test/shop/web", {{"a.test/shop/web", "b.test/w"}}, "b.test/w"},
           Case{"a.test:5000/web:1", {{"a.test:5000", "b.test"}}, "b.test/web:1"},
           Case{"localhost/web", {{"localhost", "b.test"}}, "b.test/web"},
           // The longest that fits.
           Case{"a.test/shop/web", {{"a.test", "b.test"}, {"a.test/shop", "c.test"}}, "c.test/web"},
           // What names no registry is of docker.io.
           Case{"nginx:1", {{"docker.io", "b.test"}}, "b.test/library/nginx:1"},
           Case{"nginx:1", {{"docker.io/library", "b.test/hub"}}, "b.test/hub/nginx:1"},
           Case{"shop/web", {{"docker.io/shop", "b.test"}}, "b.test/web"},
       }) {
    EXPECT_EQ(MoveImage(one.image, {one.prefixes.begin(), one.prefixes.end()}), one.moved)
        << one.image << " by " << one.prefixes.begin()->first;
  }
}

TEST(ImageName, LeavesAllElseAsItIsWritten) {
  for (const char* prefix :
       {"b.test", "a.tes", "a.test/sh", "a.test/shop/we", "test", "docker.io", "shop", ""}) {
    const std::map<std::string, std::string> prefixes = {{prefix, "c.test"}};
    EXPECT_EQ(MoveImage("a.test/shop/web:1", {prefixes.begin(), prefixes.end()}), "a.test/shop/web:1")
        << prefix;
  }
  EXPECT_EQ(MoveImage("nginx", {}), "nginx");
  const std::map<std::string, std::string> port = {{"a.test", "c.test"}};
  EXPECT_EQ(MoveImage("a.test:5000/web", {port.begin(), port.end()}), "a.test:5000/web")
      << "another port is another registry";
  EXPECT_EQ(MoveImage("", {port.begin(), port.end()}), "");
}

}  // namespace
}  // namespace salvor::velero
