#include "agent/executor/reportable.h"

#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

// Every text field of every message within, by hand or by a field that a later version adds.
void FillTexts(google::protobuf::Message* message, const std::string& text, int depth = 0) {
  const auto* descriptor = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->is_map()) continue;
    if (field->type() == google::protobuf::FieldDescriptor::TYPE_STRING) {
      field->is_repeated() ? reflection->AddString(message, field, text)
                           : reflection->SetString(message, field, text);
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE && depth < 4) {
      FillTexts(field->is_repeated() ? reflection->AddMessage(message, field)
                                     : reflection->MutableMessage(message, field),
                text, depth + 1);
    }
  }
}

TEST(ReportableTest, WhateverIsInAResultAParserTakesIt) {
  v1::ActionResult result;
  FillTexts(&result,
            "relation \"gr\xf6\xdf"
            "e\"");
  v1::ActionResult refused;
  ASSERT_FALSE(refused.ParseFromString(result.SerializeAsString())) << "the fault that is guarded against";
  MakeReportable(result);
  v1::ActionResult taken;
  ASSERT_TRUE(taken.ParseFromString(result.SerializeAsString()));
  EXPECT_EQ(taken.error().message(), "relation \"gr\\xF6\\xDFe\"") << "nothing of it is lost";
  EXPECT_EQ(taken.checks(0).compared(), "relation \"gr\\xF6\\xDFe\"");
}

TEST(ReportableTest, AProgressMessageIsAText) {
  v1::Progress progress;
  progress.set_message("\xe9\xe8");
  MakeReportable(progress);
  EXPECT_EQ(progress.message(), "\\xE9\\xE8");
}

TEST(ReportableTest, WhatIsCutIsCutBetweenCharacters) {
  std::string text;
  while (text.size() < 3 * kLongestLogLine) text += "größe ";
  for (size_t most = 100; most < 120; ++most) {
    const std::string cut = ReportableText(text, most);
    EXPECT_LE(cut.size(), most);
    EXPECT_EQ(cut.find("\\x"), std::string::npos) << cut;
    v1::LogLine line;
    line.set_text(cut);
    EXPECT_TRUE(line.ParseFromString(line.SerializeAsString()));
  }
}

TEST(ReportableTest, SecretsDoNotLeaveWithAnErrorOrAComparison) {
  v1::ActionResult result;
  result.mutable_error()->set_message("connect: password=hunter2 was refused");
  result.add_checks()->set_compared("expected password=hunter2");
  result.add_warnings("password=hunter2");
  result.set_note("password=hunter2");
  MakeReportable(result);
  EXPECT_EQ(result.DebugString().find("hunter2"), std::string::npos) << result.DebugString();
}

TEST(ReportableTest, AResultThatIsTooLargeSaysSo) {
  v1::ActionResult result;
  for (int i = 0; i < 1000; ++i) result.add_warnings(std::string(kLongestText, 'w'));
  MakeReportable(result);
  EXPECT_LT(result.ByteSizeLong(), 1000u);
  EXPECT_EQ(result.error().reason(), v1::Error::REASON_FAILED);
  EXPECT_NE(result.error().message().find("MiB"), std::string::npos) << result.error().message();
}

}  // namespace
}  // namespace salvor::agent
