#include "tools/cli/render/render_discovery.h"

#include <fmt/core.h>

#include "base/io/yaml/render.h"
#include "base/io/yaml/yaml_objects.h"
#include "base/text.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

constexpr int kColumns = 80;
constexpr int kComponentIndent = 2;

// Every line of it is a comment, whatever the text holds: a line end in it is a space.
std::string Comment(const std::string& text, int indent, const std::string& first = "", int hanging = 0) {
  const std::string begin = std::string(static_cast<size_t>(indent), ' ') + "# ";
  std::string comment;
  std::string before = first;
  for (const std::string& line : Wrap(CleanText(text), kColumns - static_cast<int>(begin.size()) - hanging)) {
    comment += fmt::format("{}{}{}\n", begin, before, line);
    before = std::string(static_cast<size_t>(hanging), ' ');
  }
  return comment;
}

std::string Item(const std::string& text) { return Comment(text, 0, "- ", 2); }

std::string Preamble(const strategies::Proposal& proposal, bool known) {
  const std::string name_space = proposal.application.application().namespace_();
  std::string text = Comment(
      fmt::format(
          "Proposed by salvor discover, by what runs in namespace {} now. Read it before it is applied: of "
          "volumes, only the claims that are named below are kept.",
          name_space),
      0);
  if (known) {
    text += Comment(
        fmt::format("Application {} is declared already: to apply this replaces its declaration, with its "
                    "checks and all else that is not here.",
                    proposal.application.metadata().name()),
        0);
  }
  for (const std::string& caution : proposal.cautions) text += Comment(caution, 0);
  if (proposal.not_kept.empty()) return text;
  text += "#\n" + Comment("Not classified, or not kept:", 0);
  for (const std::string& sentence : proposal.not_kept) text += Item(sentence);
  return text;
}

// As it stands in the list of components: the renderer of lists writes it below "items:".
std::string ItemOf(const v1::Component& component) {
  const std::string list = RenderYamlList({&component});
  std::string text;
  for (const std::string& line : Split(list.substr(0, list.size() - 1), '\n')) {
    if (line != "items:") text += std::string(kComponentIndent, ' ') + line + "\n";
  }
  return text;
}

}  // namespace

std::string RenderProposal(const strategies::Proposal& proposal, bool known) {
  std::string text = Preamble(proposal, known);
  if (proposal.components.empty())
    return text + "#\n" + Comment("No claim is mounted by a running pod, so there is nothing to declare.", 0);
  text += RenderObjectYaml(proposal.application);
  text += "  components:\n";
  for (const strategies::ProposedComponent& one : proposal.components) {
    for (const std::string& reason : one.reasons) text += Comment(reason, kComponentIndent);
    text += ItemOf(one.component);
  }
  return text;
}

}  // namespace salvor::cli
