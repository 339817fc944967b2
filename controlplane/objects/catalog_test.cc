#include "controlplane/objects/catalog.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/io/yaml/yaml_objects.h"
#include "controlplane/store/memory/memory_store.h"
#include "strategies/registry.h"

namespace salvor::controlplane {
namespace {

std::vector<v1::Object> Stack() {
  std::vector<v1::Object> objects(3);
  objects[0].mutable_metadata()->set_name("vault");
  objects[0].mutable_location()->mutable_restic()->set_repository("/srv/vault");
  objects[0].mutable_location()->mutable_restic()->set_password_file("/etc/salvor/vault.password");
  objects[1].mutable_metadata()->set_name("local");
  objects[1].mutable_environment()->set_runtime(v1::RUNTIME_HOST);
  objects[1].mutable_environment()->set_location("vault");
  objects[2].mutable_metadata()->set_name("shop");
  objects[2].mutable_application()->set_environment("local");
  v1::Component* uploads = objects[2].mutable_application()->add_components();
  uploads->set_name("uploads");
  uploads->mutable_disk()->add_paths("/srv/shop/uploads");
  return objects;
}

class CatalogTest : public testing::Test {
 protected:
  MemoryStore store_;
  std::unique_ptr<Catalog> catalog_ = *Catalog::Load(store_, strategies::BuiltInStrategies());
};

TEST_F(CatalogTest, ApplySaysWhatBecameOfEachObject) {
  using Response = v1::ApplyResponse;
  auto applied = catalog_->Apply(Stack(), false);
  ASSERT_TRUE(applied.ok() && applied->problems.empty()) << applied.status();
  EXPECT_EQ(applied->outcomes, std::vector<Response::Outcome>(3, Response::OUTCOME_CREATED));
  auto changed = Stack();
  changed[2].mutable_application()->mutable_components(0)->mutable_disk()->add_exclude("*.tmp");
  EXPECT_EQ(catalog_->Apply(changed, false)->outcomes,
            (std::vector<Response::Outcome>{Response::OUTCOME_UNCHANGED, Response::OUTCOME_UNCHANGED,
                                            Response::OUTCOME_CONFIGURED}));
  EXPECT_EQ(catalog_->List("Application", "shop")[0].metadata().generation(), 2);
}

TEST_F(CatalogTest, OneProblemAndNothingIsChanged) {
  auto objects = Stack();
  objects[1].mutable_environment()->set_location("nowhere");
  const auto applied = catalog_->Apply(objects, false);
  ASSERT_TRUE(applied.ok());
  EXPECT_FALSE(applied->problems.empty());
  EXPECT_TRUE(catalog_->List("", "").empty());
}

TEST_F(CatalogTest, ADryRunChangesNothing) {
  EXPECT_EQ(catalog_->Apply(Stack(), true)->outcomes.size(), 3u);
  EXPECT_TRUE(catalog_->List("", "").empty());
}

TEST_F(CatalogTest, IsThereAgainAfterLoading) {
  ASSERT_TRUE(catalog_->Apply(Stack(), false).ok());
  catalog_ = *Catalog::Load(store_, strategies::BuiltInStrategies());
  const auto resolved = catalog_->Resolve("shop");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->location, "vault");
  EXPECT_EQ(resolved->components[0].name(), "uploads");
}

TEST_F(CatalogTest, AnEnvironmentThatIsAClusterSaysWhichOne) {
  ASSERT_TRUE(catalog_->Apply(Stack(), false).ok());
  EXPECT_FALSE(catalog_->Resolve("shop")->cluster.has_value());
  EXPECT_FALSE(catalog_->ClusterOf("local").has_value());
  EXPECT_FALSE(catalog_->ClusterOf("nowhere").has_value());

  std::ifstream file("../../deploy/examples/kubernetes-shop.yaml");
  std::ostringstream text;
  text << file.rdbuf();
  const ParsedFile example = ParseObjects(text.str(), "kubernetes-shop.yaml");
  ASSERT_TRUE(example.problems.empty()) << example.problems[0].ToString();
  std::vector<v1::Object> objects;
  for (const ParsedObject& one : example.objects) objects.push_back(one.object);
  const auto applied = catalog_->Apply(objects, false);
  ASSERT_TRUE(applied.ok()) << applied.status();
  ASSERT_TRUE(applied->problems.empty()) << applied->problems[0].DebugString();
  const auto shop = catalog_->Resolve("shop");
  ASSERT_TRUE(shop.ok() && shop->cluster.has_value()) << shop.status();
  EXPECT_EQ(shop->cluster->velero_namespace(), "velero");
  ASSERT_EQ(shop->components.size(), 1u);
  EXPECT_EQ(shop->components[0].namespace_(), "shop");
  EXPECT_TRUE(catalog_->ClusterOf("production").has_value());
}

TEST_F(CatalogTest, WhatIsInUseIsNotDeleted) {
  ASSERT_TRUE(catalog_->Apply(Stack(), false).ok());
  EXPECT_EQ(MessageOf(catalog_->Delete("Location", "vault")), "Location vault is used by Environment/local");
  ASSERT_TRUE(catalog_->Delete("Application", "shop").ok());
  ASSERT_TRUE(catalog_->Delete("Environment", "local").ok());
  ASSERT_TRUE(catalog_->Delete("Location", "vault").ok());
  EXPECT_EQ(catalog_->Delete("Location", "vault").code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace salvor::controlplane
