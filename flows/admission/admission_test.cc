#include "flows/admission/admission.h"

#include <gtest/gtest.h>

namespace salvor::flows {
namespace {

google::protobuf::RepeatedPtrField<v1::ConcurrencyKey> Want(const char* name, bool exclusive, int limit = 0) {
  google::protobuf::RepeatedPtrField<v1::ConcurrencyKey> keys;
  v1::ConcurrencyKey* key = keys.Add();
  key->set_name(name);
  key->set_exclusive(exclusive);
  key->set_limit(limit);
  return keys;
}

TEST(Admission, SharedHoldersGetAlongAndExclusiveOnesDoNot) {
  const std::vector<KeyHold> backup = {{"location:vault", false, "backup-a dump"}};
  const std::vector<KeyHold> prune = {{"location:vault", true, "prune-a"}};
  EXPECT_FALSE(WaitsFor(Want("location:vault", false), backup));
  EXPECT_EQ(WaitsFor(Want("location:vault", true), backup), "backup-a dump is using location:vault");
  EXPECT_EQ(WaitsFor(Want("location:vault", false), prune), "prune-a is using location:vault");
  EXPECT_FALSE(WaitsFor(Want("location:other", true), backup));
}

TEST(Admission, ALimitCountsSharedHolders) {
  std::vector<KeyHold> held = {{"postgres:db", false, "a"}};
  EXPECT_FALSE(WaitsFor(Want("postgres:db", false, 2), held));
  held.push_back({"postgres:db", false, "b"});
  auto wanted = Want("postgres:db", false, 2);
  EXPECT_EQ(WaitsFor(wanted, held), "b is using postgres:db");
  wanted[0].set_title("this PostgreSQL server");
  EXPECT_EQ(WaitsFor(wanted, held), "b is using this PostgreSQL server");
}

}  // namespace
}  // namespace salvor::flows
