// --help in at most 80 columns.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace salvor::cli {

class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

// "salvor backup create".
std::string FullName(const CLI::App& app);

// The help of every command that has examples, and the examples themselves.
struct CommandHelp {
  std::string name;
  std::string text;
  std::vector<std::string> examples;
};
std::vector<CommandHelp> AllHelp(const CLI::App& root);

}  // namespace salvor::cli
