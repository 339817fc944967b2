// Declarations, errors, usage and help: what is typed, what comes out.
#include <sys/stat.h>

#include <sstream>

#include "base/text.h"
#include "tools/cli/commands/help.h"
#include "tools/cli/testing/cli_fixture.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kObjects[] = R"(apiVersion: salvor.dev/v1
kind: Location
metadata:
  name: main
spec:
  restic:
    repository: /srv/backup
    passwordFile: /etc/salvor/restic.password
---
apiVersion: salvor.dev/v1
kind: Environment
metadata:
  name: vps-1
spec:
  runtime: Host
  location: main
)";

constexpr char kApplication[] = R"(apiVersion: salvor.dev/v1
kind: Application
metadata:
  name: shop
spec:
  environment: vps-1
  components:
    - name: files
      disk:
        paths: [/srv/shop]
)";

// The words of an example without the program's name; only single quotes are used there.
std::vector<std::string> ShellWords(const std::string& text) {
  std::vector<std::string> words;
  bool quoted = false, in_word = false;
  for (const char c : text) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      in_word = false;
    } else {
      if (!in_word) words.emplace_back();
      in_word = true;
      words.back() += c;
    }
  }
  words.erase(words.begin());
  return words;
}

TEST_F(CliTest, AWordThatIsNotUtf8IsWrongUsage) {
  const Result result = Run({"restore", "create", "--backup", "b", "--to", "a", "--disk-root", "/srv/\xff"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("is not UTF-8"));
  EXPECT_EQ(Run({"backup", "show", "\xe4"}).code, 2);
}

TEST_F(CliTest, ApplyCreatesThenIsUnchangedThenConfigured) {
  const std::string objects = WriteFile("objects.yaml", kObjects);
  Result result = Run({"apply", "-f", objects});
  EXPECT_EQ(result.out, "location/main created\nenvironment/vps-1 created\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.code, 0);
  input_ = kApplication;
  EXPECT_EQ(Run({"apply", "-f", objects, "-f", "-", "--dry-run"}).out,
            "location/main unchanged (dry run)\nenvironment/vps-1 unchanged (dry run)\n"
            "application/shop created (dry run)\n");
  EXPECT_EQ(Run({"apply", "-f", "-"}).out, "application/shop created\n");
  input_ = std::string(kApplication) + "        exclude: ['*.tmp']\n";
  EXPECT_EQ(Run({"apply", "-f", "-"}).out, "application/shop configured\n");
}

TEST_F(CliTest, ApplyTakesADirectoryInTheOrderOfItsNames) {
  ASSERT_TRUE(MakeDirectories(directory_ + "/objects").ok());
  WriteFile("objects/10-base.yaml", kObjects);
  WriteFile("objects/20-shop.yml", kApplication);
  WriteFile("objects/notes.txt", "not: [yaml");
  EXPECT_EQ(Run({"validate", "-f", directory_ + "/objects"}).out, "3 objects valid\n");
}

TEST_F(CliTest, ApplyPlacesTheControlPlanesProblemsInTheFile) {
  const std::string path = WriteFile("shop.yaml", kApplication);
  const Result result = Run({"apply", "-f", path});
  EXPECT_EQ(result.code, 8);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, path +
                            ":6:3: spec.environment: there is no environment 'vps-1'\n"
                            "error: nothing was applied\n"
                            "  cause: 1 problem\n");
}

TEST_F(CliTest, ValidateNamesEveryProblemWithItsPlaceAndAsksNobody) {
  StopServer();
  const std::string path = WriteFile("bad.yaml",
                                     "apiVersion: salvor.dev/v1\nkind: Location\nmetadata:\n"
                                     "  name: main\nspec:\n  restik: {}\n  bar: 1\n");
  const Result result = Run({"validate", "-f", path});
  EXPECT_EQ(result.code, 8);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr(path + ":6:3: "), HasSubstr(path + ":7:3: "), HasSubstr("cause: 2 problems")));
}

TEST_F(CliTest, GetShowsWhatIsDeclaredAndItsYamlCanBeAppliedAgain) {
  Run({"apply", "-f", WriteFile("objects.yaml", kObjects)});
  EXPECT_EQ(Run({"get", "locations"}).out, "NAME  REPOSITORY\nmain  /srv/backup\n");
  EXPECT_EQ(Run({"get", "all", "-o", "name"}).out, "Environment/vps-1\nLocation/main\n");
  EXPECT_EQ(Run({"get", "location", "--no-headers"}).out, "main  /srv/backup\n");
  EXPECT_THAT(Run({"get", "location", "main", "-o", "json"}).out,
              StartsWith(R"({"apiVersion":"salvor.dev/v1","kind":"Location","metadata":{"name":"main")"));
  input_ = Run({"get", "all", "-o", "yaml"}).out;
  EXPECT_EQ(Run({"apply", "-f", "-"}).out, "environment/vps-1 unchanged\nlocation/main unchanged\n");
  const Result missing = Run({"get", "application", "shop"});
  EXPECT_EQ(missing.code, 6);
  EXPECT_EQ(missing.err,
            "error: get application shop\n  cause: there is no application 'shop'\n"
            "  hint: See what there is with `salvor get application`.\n");
}

TEST_F(CliTest, DeleteWantsTheNameByFlagOrTyped) {
  Run({"apply", "-f", WriteFile("objects.yaml", kObjects)});
  const Result refused = Run({"delete", "location", "main"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("cause: not a terminal, cannot ask for confirmation\n"),
                                 HasSubstr("hint: Add --confirm=main when you mean it.")));
  const Result other = Run({"delete", "location", "main", "--confirm=vps-1"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("cause: --confirm does not match 'main'\n"));
  tty_ = true;
  input_ = "mian\n";
  EXPECT_EQ(Run({"delete", "location", "main"}).code, 2);
  input_ = "main\n";
  EXPECT_EQ(Run({"delete", "location", "main"}).out, "location/main deleted\n");
  EXPECT_EQ(Run({"delete", "location", "main", "--confirm", "main"}).code, 6);
  EXPECT_EQ(Run({"delete", "all", "main", "--confirm", "main"}).code, 2);
}

TEST_F(CliTest, ErrorsCarryTheControlPlanesHintAndMapToExitCodes) {
  const std::vector<std::pair<Status, int>> table = {
      {InvalidArgument("it went wrong"), 8},    {PermissionDenied("it went wrong"), 5},
      {NotFound("it went wrong"), 6},           {AlreadyExists("it went wrong"), 7},
      {FailedPrecondition("it went wrong"), 7}, {Internal("it went wrong"), 1}};
  for (const auto& row : table) {
    control_.FailWith(WithHint(row.first, "Do this – „next“."));  // a hint is any text
    const Result result = Run({"backup", "list"});
    EXPECT_EQ(result.code, row.second) << row.first;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "error: list backups\n  cause: it went wrong\n  hint: Do this – „next“.\n");
  }
}

TEST_F(CliTest, TokensThatAreWrongMissingOrOpenToOthersAreFour) {
  WriteFile("token", "another\n", 0600);
  const Result wrong = Run({"backup", "list"});
  EXPECT_EQ(wrong.code, 4);
  EXPECT_EQ(wrong.err, "error: list backups\n  cause: no valid token\n  hint: The token came from " +
                           directory_ + "/token.\n");
  ASSERT_EQ(chmod((directory_ + "/token").c_str(), 0644), 0);
  EXPECT_EQ(Run({"backup", "list"}).code, 4);
  const Result missing = Run({"backup", "list", "--token-file", directory_ + "/nowhere"});
  EXPECT_EQ(missing.code, 4);
  EXPECT_THAT(missing.err, HasSubstr("cause: no token: " + directory_ + "/nowhere does not exist\n"));
  WriteFile("token", "two words\n", 0600);
  const Result spaced = Run({"backup", "list"});
  EXPECT_EQ(spaced.code, 4);
  EXPECT_THAT(spaced.err, Not(HasSubstr("two words"))) << "a token is never shown";
}

TEST_F(CliTest, AControlPlaneThatIsNotThereIsSaidWithWhereItWasLookedFor) {
  StopServer();
  const Result result = Run({"backup", "list"});
  EXPECT_EQ(result.code, 10);
  EXPECT_THAT(result.err, AllOf(HasSubstr("control plane not reachable at unix://" + directory_ + "/s: "),
                                HasSubstr("hint: Is salvord running there?")));
}

TEST_F(CliTest, PlainTextIsNotSpokenOverANetwork) {
  const Result result = Run({"--server", "192.0.2.1:9443", "backup", "list"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("hint: Give --ca-file, or use a unix socket or a loopback address."));
}

TEST_F(CliTest, VersionSaysBothOrTheClientsAlone) {
  EXPECT_THAT(Run({"version"}).out,
              AllOf(StartsWith("client   "), HasSubstr("server   0.2.7 (store sqlite)\n")));
  StopServer();
  EXPECT_EQ(Run({"version", "--client"}).code, 0);
  EXPECT_EQ(Run({"version"}).code, 10);
}

TEST_F(CliTest, AgentsAreListed) {
  EXPECT_EQ(Run({"agent", "list"}).out,
            "NAME   ENVIRONMENT  KIND  STATE      RUNNING  LAST SEEN\n"
            "vps-1  vps-1        host  connected        0  -\n");
}

TEST_F(CliTest, AnAcceptedBackupIsToBeDrilledUnlessItIsOfACluster) {
  v1::Backup backup = CompleteBackup();
  backup.set_name("b");
  control_.PutBackup(backup);
  backup.set_name("of-cluster");
  backup.mutable_manifest()->add_velero()->set_backup("of-cluster");
  control_.PutBackup(backup);
  const Result drillable = Run({"backup", "accept", "b", "--reason", "archived"});
  EXPECT_EQ(drillable.out, "accepted b\n");
  EXPECT_EQ(drillable.err, "next: salvor drill create --backup b --wait\n");
  const Result of_cluster = Run({"backup", "accept", "of-cluster", "--reason", "archived"});
  EXPECT_EQ(of_cluster.out, "accepted of-cluster\n");
  EXPECT_EQ(of_cluster.err, "") << "a drill of it would be refused";
}

TEST_F(CliTest, UsageErrorsAreTwoAndSuggest) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{"bakup", "list"},
       "error: there is no command 'salvor bakup'; did you mean 'backup'?\n  hint: See `salvor --help`.\n"},
      {{"backup", "creat", "shop"},
       "error: there is no command 'salvor backup creat'; did you mean 'create'?\n  hint: See `salvor backup "
       "--help`.\n"},
      {{"backup", "list", "--aplication", "x"},
       "error: there is no flag '--aplication'; did you mean '--application'?\n  hint: See `salvor backup "
       "list --help`.\n"},
      {{"drill", "create"}, "error: --backup is required\n  hint: See `salvor drill create --help`.\n"},
      {{"backup", "create", "a", "b"},
       "error: 'b' is one word too many\n  hint: See `salvor backup create --help`.\n"},
      {{"run", "list", "-o", "xml"},
       "error: --output: 'xml' is not valid; use one of table, wide, json, yaml, name\n  hint: See `salvor run list "
       "--help`.\n"},
      {{"run", "watch", "x", "--timeout", "soon"},
       "error: --timeout: 'soon' is not a duration; write 90s or 1h30m\n  hint: See `salvor run watch "
       "--help`.\n"}};
  for (const auto& row : table) {
    const Result result = Run(row.first);
    EXPECT_EQ(result.code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, row.second);
  }
  EXPECT_EQ(Run({}).code, 2);
  EXPECT_EQ(Run({"backup"}).code, 2);
}

TEST_F(CliTest, ANameMayBeTheNameOfACommand) {
  EXPECT_EQ(Run({"backup", "create", "run"}).err,
            "error: back up run\n  cause: there is no application 'run'\n");
  EXPECT_EQ(Run({"run", "show", "list"}).err, "error: show run list\n  cause: there is no run 'list'\n");
  EXPECT_EQ(Run({"backup", "show", "backup"}).code, 6);
}

TEST_F(CliTest, GlobalFlagsMayStandBeforeAndAfterTheCommand) {
  const std::string server = "unix://" + directory_ + "/s";
  variables_["SALVOR_SERVER"] = "unix:///nowhere";
  EXPECT_EQ(Run({"--server", server, "agent", "list"}).code, 0);
  EXPECT_EQ(Run({"agent", "list", "--server", server, "--no-headers"}).out,
            "vps-1  vps-1  host  connected  0  -\n");
}

TEST_F(CliTest, HelpIsCompleteFitsAndAllOfItsExamplesAreUnderstood) {
  CommandLine all;
  BuildCommandLine(all);
  const std::vector<CommandHelp> helps = AllHelp(all.root);
  EXPECT_EQ(helps.size(), 26U);
  for (const CommandHelp& help : helps) {
    EXPECT_FALSE(help.examples.empty()) << help.name;
    ExpectFits(help.text, 80);
    std::vector<std::string> words = Split(help.name, ' ');
    words.erase(words.begin());
    words.push_back("--help");
    EXPECT_EQ(Run(words).out, help.text);
    for (const std::string& example : help.examples) {
      EXPECT_THAT(example, StartsWith(help.name));
      CommandLine line;
      BuildCommandLine(line);
      std::ostringstream out, err;
      Environment environment;
      const FakeClock clock(absl::UnixEpoch());
      environment.out = &out;
      environment.err = &err;
      environment.clock = &clock;
      EXPECT_EQ(Parse(line, ShellWords(example), environment), ExitCode::kOk) << example << "\n" << err.str();
      EXPECT_TRUE(line.chosen) << example;
    }
  }
  ExpectFits(Run({"--help"}).out, 80);
  ExpectGolden("exit_codes.txt", Run({"help", "exit-codes"}).out);
  EXPECT_EQ(Run({"help", "backup", "create"}).out, Run({"backup", "create", "--help"}).out);
  EXPECT_EQ(Run({"help", "exit-code"}).code, 2);
}

}  // namespace
}  // namespace salvor::cli
