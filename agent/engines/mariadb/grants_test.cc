#include "agent/engines/mariadb/grants.h"

#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

TEST(Grants, AreOfTheWholeServerOrOfADatabase) {
  struct Case {
    const char* grant;
    const char* privilege;
    const char* database;
    bool has;
  };
  for (const Case& one : {
           Case{"GRANT ALL PRIVILEGES ON *.* TO `a`@`b` WITH GRANT OPTION", "TRIGGER", "shop", true},
           Case{"GRANT SELECT, TRIGGER ON *.* TO `a`@`b`", "TRIGGER", "", true},
           Case{"GRANT SELECT, TRIGGER ON `shop`.* TO `a`@`b`", "TRIGGER", "shop", true},
           Case{"GRANT SELECT, TRIGGER ON `shop`.* TO `a`@`b`", "TRIGGER", "", false},
           Case{"GRANT SELECT, TRIGGER ON `shop`.* TO `a`@`b`", "EVENT", "shop", false},
           Case{"GRANT SELECT ON `sh%`.* TO `a`@`b`", "SELECT", "shop", true},
           Case{"GRANT SELECT ON `my\\_shop`.* TO `a`@`b`", "SELECT", "my_shop", true},
           Case{"GRANT SELECT ON `my\\_shop`.* TO `a`@`b`", "SELECT", "myxshop", false},
           Case{"GRANT SELECT ON `shop`.`t` TO `a`@`b`", "SELECT", "shop", false},
           Case{"GRANT `role` TO `a`@`b`", "SELECT", "shop", false},
           Case{"GRANT SELECT ON `a ON b`.* TO `a`@`b`", "SELECT", "a ON b", true},
           Case{"SET DEFAULT ROLE `r` FOR `a`@`b`", "SELECT", "shop", false},
           Case{"GRANT USAGE ON *.* TO `a`@`b` IDENTIFIED BY PASSWORD '*X'", "SELECT", "shop", false},
       })
    EXPECT_EQ(HasPrivilege({one.grant}, one.privilege, one.database), one.has)
        << one.grant << " " << one.database;
}

TEST(Grants, OfTablesAndRoutinesElsewhereAreTold) {
  const std::vector<std::string> here = {"shop"};
  EXPECT_TRUE(IsOfOtherDatabase("GRANT SELECT ON `other`.`t` TO `a`@`b`", here));
  EXPECT_TRUE(IsOfOtherDatabase("GRANT EXECUTE ON PROCEDURE `other`.`p` TO `a`@`b`", here));
  EXPECT_FALSE(IsOfOtherDatabase("GRANT SELECT ON `shop`.`t` TO `a`@`b`", here));
  EXPECT_FALSE(IsOfOtherDatabase("GRANT SELECT (`x`) ON `shop`.`t` TO `a`@`b`", here));
  EXPECT_FALSE(IsOfOtherDatabase("GRANT SELECT ON `other`.* TO `a`@`b`", here))
      << "it can be given beforehand";
  EXPECT_FALSE(IsOfOtherDatabase("GRANT `role` TO `a`@`b`", here));
}

}  // namespace
}  // namespace salvor::agent
