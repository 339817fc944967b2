#include "agent/undo_of_0_1.h"

#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

v1::HeldObligation Held(const std::string& name, const std::string& kind) {
  v1::HeldObligation held;
  held.set_run("drill-shop-1");
  held.set_name(name);
  held.set_kind(kind);
  return held;
}

TEST(UndoOf0_1, APlaceOfADrillIsStoppedWhetherItsKindIsKnownOrNot) {
  for (const char* kind :
       {"scratch", ""})  // "" of a row that cannot be read, and of what a control plane kept itself
    EXPECT_EQ(UndoOf0_1(Held("scratch", kind)).scratch_stop().name(), "drill-shop-1") << kind;
}

TEST(UndoOf0_1, FoldersOfARestoreAreThoseOfTheComponentThatTheObligationNames) {
  const v1::DiskRestoreUndo undo = UndoOf0_1(Held("files of shop", "restore-folders")).disk_restore_undo();
  EXPECT_EQ(undo.run(), "drill-shop-1");
  EXPECT_EQ(undo.component(), "shop");
}

TEST(UndoOf0_1, WhatNamesNoRestoreIsUndoneByNothing) {
  EXPECT_EQ(UndoOf0_1(Held("shop", "restore-folders")).kind_case(), v1::Action::KIND_NOT_SET);
}

}  // namespace
}  // namespace salvor::agent
