// Messages that are stored, sent or put into a Location are read for years: messages.txt has the shapes that were
// written once, and nothing of them is renumbered, renamed, retyped or taken away. SALVOR_UPDATE_MESSAGES=1 adds what
// is new.
#include "tests/corpus/message_shapes.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>

#include <cstdlib>
#include <fstream>

#include "base/text.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/deletion.pb.h"
#include "salvor/v1/discovery.pb.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/mariadb_details.pb.h"
#include "salvor/v1/restore.pb.h"
#include "salvor/v1/scratch_namespace.pb.h"
#include "salvor/v1/token.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::corpus {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::DescriptorProto;
using google::protobuf::EnumDescriptorProto;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Recorded() {
  std::ifstream in(SALVOR_CORPUS "/messages.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Present() {
  return ShapesOf({v1::Action::descriptor()->file(), v1::AgentHello::descriptor()->file(),
                   v1::GetRunRequest::descriptor()->file(), v1::Deletion::descriptor()->file(),
                   v1::Discovery::descriptor()->file(), v1::Flow::descriptor()->file(),
                   v1::Manifest::descriptor()->file(), v1::MariadbDetails::descriptor()->file(),
                   v1::Object::descriptor()->file(), v1::RestoreOptions::descriptor()->file(),
                   v1::Run::descriptor()->file(), v1::ScratchNamespaceStart::descriptor()->file(),
                   v1::TokenRecord::descriptor()->file(), v1::VeleroBackup::descriptor()->file(),
                   v1::VeleroSlot::descriptor()->file()});
}

TEST(Messages, NothingThatWasWrittenOnceIsBroken) {
  EXPECT_THAT(FindBreaks(Recorded(), Present()), IsEmpty());
}

TEST(Messages, WhatIsNewIsOnRecord) {
  const std::vector<std::string> recorded = Recorded(), present = Present();
  if (std::getenv("SALVOR_UPDATE_MESSAGES") != nullptr) {
    ASSERT_THAT(FindBreaks(recorded, present), IsEmpty());
    std::ofstream(SALVOR_CORPUS "/messages.txt") << Join(present, "\n") << "\n";
    return;
  }
  EXPECT_EQ(Join(recorded, "\n"), Join(present, "\n"))
      << "Add what is new: SALVOR_UPDATE_MESSAGES=1 message_shapes_test";
}

// ---- The test itself: each kind of break, made on purpose in messages like ours.

FileDescriptorProto Sample() {
  FileDescriptorProto file;
  file.set_name("sample.proto");
  file.set_syntax("proto3");
  DescriptorProto* message = file.add_message_type();
  message->set_name("Backup");
  for (const char* name : {"name", "location"}) {
    auto* field = message->add_field();
    field->set_name(name);
    field->set_number(message->field_size());
    field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    field->set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  }
  message->add_reserved_name("old");
  message->add_reserved_range()->set_start(9);
  message->mutable_reserved_range(0)->set_end(10);
  EnumDescriptorProto* phase = file.add_enum_type();
  phase->set_name("Phase");
  for (const char* name : {"NONE", "DONE"}) {
    phase->add_value()->set_name(name);
    phase->mutable_value(phase->value_size() - 1)->set_number(phase->value_size() - 1);
  }
  auto* service = file.add_service();
  service->set_name("Backups");
  auto* method = service->add_method();
  method->set_name("Get");
  method->set_input_type(".Backup");
  method->set_output_type(".Backup");
  return file;
}

std::vector<std::string> Shapes(const FileDescriptorProto& proto) {
  DescriptorPool pool;
  const FileDescriptor* file = pool.BuildFile(proto);
  EXPECT_NE(file, nullptr);
  return file == nullptr ? std::vector<std::string>() : ShapesOf({file});
}

class BreaksTest : public testing::Test {
 protected:
  std::vector<std::string> Breaks() const { return FindBreaks(Shapes(Sample()), Shapes(now_)); }
  DescriptorProto& Message() { return *now_.mutable_message_type(0); }
  void RemoveLocation() { Message().mutable_field()->RemoveLast(); }

  FileDescriptorProto now_ = Sample();
};

TEST_F(BreaksTest, WhatIsAddedBreaksNothing) {
  auto* field = Message().add_field();
  *field = Message().field(0);
  field->set_name("run");
  field->set_number(3);
  EXPECT_THAT(Breaks(), IsEmpty());
}

TEST_F(BreaksTest, AnotherNumber) {
  Message().mutable_field(1)->set_number(3);
  EXPECT_THAT(Breaks(), ElementsAre("'field Backup.location 2 single string' has become "
                                    "'field Backup.location 3 single string'"));
}

TEST_F(BreaksTest, AnotherType) {
  Message().mutable_field(1)->set_type(google::protobuf::FieldDescriptorProto::TYPE_BYTES);
  EXPECT_THAT(Breaks(), ElementsAre("'field Backup.location 2 single string' has become "
                                    "'field Backup.location 2 single bytes'"));
}

TEST_F(BreaksTest, AnotherLabel) {
  Message().mutable_field(1)->set_label(google::protobuf::FieldDescriptorProto::LABEL_REPEATED);
  EXPECT_THAT(Breaks(), ElementsAre("'field Backup.location 2 single string' has become "
                                    "'field Backup.location 2 repeated string'"));
}

TEST_F(BreaksTest, AnotherName) {
  Message().mutable_field(1)->set_name("place");
  EXPECT_THAT(Breaks(), ElementsAre("the number of 'field Backup.location 2 single string' belongs to "
                                    "'field Backup.place 2 single string' now"));
}

TEST_F(BreaksTest, ANumberThatIsUsedAgain) {
  RemoveLocation();
  auto* field = Message().add_field();
  *field = Message().field(0);
  field->set_name("run");
  field->set_number(2);
  EXPECT_THAT(Breaks(), ElementsAre("the number of 'field Backup.location 2 single string' belongs to "
                                    "'field Backup.run 2 single string' now"));
}

TEST_F(BreaksTest, RemovedWithoutBeingReserved) {
  RemoveLocation();
  EXPECT_THAT(Breaks(),
              ElementsAre("'field Backup.location 2 single string' is gone, and its number and name "
                          "are not reserved"));
}

TEST_F(BreaksTest, RemovedWithItsNumberAloneReservedIsABreakAndWithItsNameTooIsNone) {
  RemoveLocation();
  auto* range = Message().add_reserved_range();
  range->set_start(2);
  range->set_end(3);
  EXPECT_EQ(Breaks().size(), 1u);
  Message().add_reserved_name("location");
  EXPECT_THAT(Breaks(), IsEmpty());
}

TEST_F(BreaksTest, AReservationThatIsTakenBack) {
  Message().clear_reserved_name();
  Message().clear_reserved_range();
  EXPECT_THAT(Breaks(), ElementsAre("'reserved Backup 9' is gone: what is reserved stays reserved",
                                    "'reserved Backup old' is gone: what is reserved stays reserved"));
}

TEST_F(BreaksTest, ValuesOfAnEnum) {
  now_.mutable_enum_type(0)->mutable_value(1)->set_name("OVER");
  EXPECT_THAT(Breaks(),
              ElementsAre("the number of 'value Phase.DONE 1' belongs to 'value Phase.OVER 1' now"));
}

TEST_F(BreaksTest, AWholeMessage) {
  now_.clear_service();
  now_.clear_message_type();
  EXPECT_EQ(Breaks().size(), 5u) << "two fields, two reservations and the method";
}

TEST_F(BreaksTest, AMethodThatStreams) {
  now_.mutable_service(0)->mutable_method(0)->set_server_streaming(true);
  EXPECT_THAT(Breaks(), ElementsAre("'method Backups.Get Backup to Backup' has become "
                                    "'method Backups.Get Backup to stream Backup'"));
}

}  // namespace
}  // namespace salvor::corpus
