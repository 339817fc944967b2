#include "tools/cli/commands/help.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

constexpr int kColumns = 80;

// "  --backup BACKUP   the backup to restore": descriptions stand in a column of their own.
std::string Pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  int widest = 0;
  for (const auto& pair : pairs) widest = std::max(widest, DisplayWidth(pair.first));
  widest = std::min(widest, 30);
  std::string text;
  for (const auto& pair : pairs) {
    const std::vector<std::string> lines = Wrap(pair.second, kColumns - widest - 4);
    std::string left = "  " + PadRight(pair.first, widest);
    for (const std::string& line : lines) {
      text += line.empty() ? left : left + "  " + line;
      text += "\n";
      left = std::string(static_cast<size_t>(widest) + 2, ' ');
    }
  }
  return text;
}

std::vector<const CLI::Option*> Options(const CLI::App& app, bool positional) {
  return app.get_options([&](const CLI::Option* option) {
    return positional ? option->get_positional() : option->nonpositional();
  });
}

std::string Label(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true, false);
  std::string label = Join(Split(option.get_name(false, true), ','), ", ");
  if (option.get_type_size() != 0 && !option.get_type_name().empty()) label += " " + option.get_type_name();
  return label;
}

std::string Section(const CLI::App& app, bool positional, const std::string& title) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const CLI::Option* option : Options(app, positional)) {
    std::string description = option->get_description();
    if (option->get_required() && !positional) description += " (required)";
    pairs.emplace_back(Label(*option), description);
  }
  return pairs.empty() ? "" : "\n" + title + ":\n" + Pairs(pairs);
}

std::string Usage(const CLI::App& app) {
  std::string usage = "Usage: " + FullName(app);
  if (!app.get_subcommands({}).empty()) return usage + " COMMAND [flags]\n";
  for (const CLI::Option* option : Options(app, true)) {
    const std::string name = option->get_name(true, false);
    usage += option->get_required() ? " " + name : " [" + name + "]";
  }
  for (const CLI::Option* option : Options(app, false)) {
    if (option->get_required()) usage += " " + option->get_name(false, false) + " " + option->get_type_name();
  }
  return usage + " [flags]\n";
}

void Collect(const CLI::App& app, std::vector<CommandHelp>& all) {
  const std::vector<const CLI::App*> children = app.get_subcommands({});
  for (const CLI::App* child : children) Collect(*child, all);
  if (!children.empty()) return;
  CommandHelp help{FullName(app), HelpFormatter().make_help(&app, "", CLI::AppFormatMode::Normal), {}};
  for (const std::string& line : Split(app.get_footer(), '\n')) {
    if (line.rfind("  ", 0) != 0) continue;
    // A long example goes on in the next line, as in a shell.
    const bool goes_on = !help.examples.empty() && help.examples.back().back() == '\\';
    if (goes_on) {
      help.examples.back().back() = ' ';
      help.examples.back() += Trim(line);
    } else {
      help.examples.push_back(line.substr(2));
    }
  }
  all.push_back(std::move(help));
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const {
  std::string text;
  for (const std::string& line : Wrap(app->get_description(), kColumns)) text += line + "\n";
  text += "\n" + Usage(*app);
  std::vector<std::pair<std::string, std::string>> commands;
  for (const CLI::App* child : app->get_subcommands({})) {
    commands.emplace_back(child->get_name(), child->get_description());
  }
  if (!commands.empty()) text += "\nCommands:\n" + Pairs(commands);
  text += Section(*app, true, "Arguments");
  text += Section(*app, false, app->get_parent() == nullptr ? "Global flags" : "Flags");
  if (!app->get_footer().empty()) text += "\n" + app->get_footer();
  if (app->get_parent() != nullptr)
    text += "\nGlobal flags: salvor --help. Exit codes: salvor help exit-codes.\n";
  return text;
}

std::string FullName(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : FullName(*app.get_parent()) + " " + app.get_name();
}

std::vector<CommandHelp> AllHelp(const CLI::App& root) {
  std::vector<CommandHelp> all;
  Collect(root, all);
  return all;
}

}  // namespace salvor::cli
