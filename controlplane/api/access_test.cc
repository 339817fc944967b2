// The table of who may do what: against the methods that there are, and against every class.
#include "controlplane/api/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>

#include "salvor/v1/control_service.pb.h"

namespace salvor::controlplane {
namespace {

using ::testing::HasSubstr;

Principal Of(v1::TokenClass token_class) { return {"someone", token_class}; }

TEST(Access, TheTableNamesEveryMethodOnceAndNoOther) {
  std::vector<std::string> methods, rules;
  const auto* file = v1::GetVersionRequest::descriptor()->file();
  for (int i = 0; i < file->service_count(); ++i) {
    for (int m = 0; m < file->service(i)->method_count(); ++m)
      methods.emplace_back(file->service(i)->method(m)->name());
  }
  for (const AccessRule& rule : AccessRules()) rules.emplace_back(rule.operation);
  EXPECT_THAT(rules, testing::UnorderedElementsAreArray(methods));
}

TEST(Access, NothingIsForThoseWithoutAClass) {
  for (const AccessRule& rule : AccessRules()) {
    EXPECT_GE(rule.needed, v1::TOKEN_CLASS_VIEW) << rule.operation;
    EXPECT_FALSE(CheckAccess(Of(v1::TOKEN_CLASS_UNSPECIFIED), rule.operation).ok()) << rule.operation;
  }
}

TEST(Access, EachClassHoldsAllThatTheOnesBeforeItHold) {
  for (const AccessRule& rule : AccessRules()) {
    for (int each = v1::TOKEN_CLASS_VIEW; each <= v1::TOKEN_CLASS_ADMINISTER; ++each) {
      const Status status = CheckAccess(Of(static_cast<v1::TokenClass>(each)), rule.operation);
      EXPECT_EQ(status.ok(), each >= rule.needed) << rule.operation << " " << each;
      if (!status.ok()) {
        EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
      }
    }
  }
}

TEST(Access, OnlyAdministratorsMakeTokens) {
  for (const AccessRule& rule : AccessRules()) {
    if (rule.operation == "CreateToken" || rule.operation == "RevokeToken") {
      EXPECT_EQ(rule.needed, v1::TOKEN_CLASS_ADMINISTER) << rule.operation;
    }
  }
}

TEST(Access, ARefusalSaysWhatIsMissingAndWhoCanGiveIt) {
  const Status refused = CheckAccess(Of(v1::TOKEN_CLASS_VIEW), "CreateBackup");
  EXPECT_EQ(MessageOf(refused), "this needs a token of class operate, and someone is of class view");
  EXPECT_THAT(HintOf(refused), HasSubstr("holds a token of class administer"));
  EXPECT_THAT(HintOf(refused), HasSubstr("salvor token create NAME --class operate"));
}

TEST(Access, WhatIsNotInTheTableIsNobodys) {
  EXPECT_EQ(CheckAccess(Of(v1::TOKEN_CLASS_ADMINISTER), "Conquer").code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CheckAccess(Of(v1::TOKEN_CLASS_ADMINISTER), "").code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace salvor::controlplane
