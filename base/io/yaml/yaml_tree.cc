#include "base/io/yaml/yaml_tree.h"

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cctype>
#include <map>
#include <optional>
#include <sstream>

namespace salvor {
namespace {

SourcePosition ToPosition(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// Ends a parse from inside a callback; never leaves this file.
struct StopParsing {
  YamlError error;
};

bool IsKnownTag(const std::string& tag) {
  return tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str";
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree* tree) : tree_(*tree) {}

  void OnDocumentStart(const YAML::Mark&) override {
    open_.clear();
    anchors_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {
    if (root_ != nullptr && root_->kind != YamlNode::Kind::kNull) tree_.documents.push_back(root_);
    root_ = nullptr;
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Attach(NewNode(YamlNode::Kind::kNull, mark, anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw StopParsing{{ToPosition(mark), "alias without an anchor"}};
    for (const OpenNode& open : open_) {
      if (open.node == found->second)
        throw StopParsing{{ToPosition(mark), "an alias must not contain itself"}};
    }
    Attach(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    YamlNode* node = NewNode(YamlNode::Kind::kScalar, mark, anchor);
    node->plain = tag == "?";
    node->text = value;
    Attach(node);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kSequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct OpenNode {
    YamlNode* node;
    const YamlNode* key;  // of a map: read, and its value is not yet
  };

  static void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (!IsKnownTag(tag))
      throw StopParsing{{ToPosition(mark), fmt::format("tag '{}' is not supported", tag)}};
  }

  YamlNode* NewNode(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (tree_.nodes.size() >= static_cast<size_t>(kMaxYamlNodes)) {
      throw StopParsing{{ToPosition(mark), fmt::format("more than {} YAML nodes", kMaxYamlNodes)}};
    }
    YamlNode& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.at = ToPosition(mark);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
    return &node;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    CheckTag(mark, tag);
    YamlNode* node = NewNode(kind, mark, anchor);
    Attach(node);
    open_.push_back({node, nullptr});
  }

  void Attach(const YamlNode* node) {
    if (open_.empty()) {
      root_ = node;
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node->kind == YamlNode::Kind::kSequence) {
      parent.node->items.push_back(node);
    } else if (parent.key == nullptr) {
      parent.key = node;
    } else {
      parent.node->entries.emplace_back(parent.key, node);
      parent.key = nullptr;
    }
  }

  YamlTree& tree_;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, const YamlNode*> anchors_;
  const YamlNode* root_ = nullptr;
};

// How many bytes the UTF-8 sequence at `text` has; 0 when it is none.
size_t Utf8SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xC2 && first < 0xE0 ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (first == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (first == 0xED && byte(1) > 0x9F) return 0;  // surrogates
  if (first == 0xF0 && byte(1) < 0x90) return 0;  // overlong
  if (first == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
  return length;
}

// The first byte that is not UTF-8 text. yaml-cpp would guess another encoding, or pass such bytes on.
std::optional<YamlError> CheckUtf8(std::string_view text) {
  SourcePosition at;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\0') return YamlError{at, "the text contains a NUL byte"};
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) return YamlError{at, "the text is not UTF-8"};
    at.column += static_cast<int>(length);
    if (text[i] == '\n') at = {at.line + 1, 1};
    i += length;
  }
  return std::nullopt;
}

// yaml-cpp 0.7 takes a quote that is never closed for one that ends with the text: half a file would pass. An
// end-of-document marker inside a quote, however, is an error.
std::string WithEndMarker(std::string_view text) {
  std::string marked(text);
  if (!text.empty() && text.back() != '\n') marked += '\n';
  return marked + "...\n";
}

// A tab in the indentation of the line of an error or the one before, which YAML forbids; yaml-cpp's words for
// it are of something else.
std::optional<SourcePosition> FindTabInIndentation(std::string_view text, int error_line) {
  SourcePosition at;
  bool indentation = true;
  for (const char c : text) {
    if (at.line > error_line) break;
    if (indentation && c == '\t' && at.line + 1 >= error_line) return at;
    indentation = c == '\n' || (indentation && c == ' ');
    ++at.column;
    if (c == '\n') at = {at.line + 1, 1};
  }
  return std::nullopt;
}

YamlError SyntaxError(const YAML::Exception& error, std::string_view text) {
  const SourcePosition at = ToPosition(error.mark);
  if (const std::optional<SourcePosition> tab = FindTabInIndentation(text, at.line))
    return {*tab, "not valid YAML: the line is indented with a tab; use spaces"};
  SourcePosition end;
  for (const char c : text) {
    ++end.column;
    if (c == '\n') end = {end.line + 1, 1};
  }
  if (at < end) return {at, "not valid YAML: " + error.msg};
  const bool in_quotes = error.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
  return {end,
          in_quotes ? "not valid YAML: a quote is opened and never closed" : "not valid YAML: " + error.msg};
}

}  // namespace

YamlTree ParseYamlTree(std::string_view text) {
  YamlTree tree;
  if (text.size() > kMaxYamlBytes) {
    tree.errors.push_back(
        {{}, fmt::format("the text has {} bytes, more than {}", text.size(), kMaxYamlBytes)});
    return tree;
  }
  if (std::optional<YamlError> error = CheckUtf8(text)) {
    tree.errors.push_back(*std::move(error));
    return tree;
  }
  try {
    std::istringstream stream(WithEndMarker(text));
    YAML::Parser parser(stream);
    TreeBuilder builder(&tree);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const StopParsing& stop) {
    tree.errors.push_back(stop.error);
  } catch (const YAML::Exception& error) {
    tree.errors.push_back(SyntaxError(error, text));
  } catch (const std::exception& error) {
    tree.errors.push_back({{}, fmt::format("not valid YAML: {}", error.what())});
  }
  return tree;
}

std::string DescribeYamlKind(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return node.plain ? fmt::format("'{}'", node.text.substr(0, 60)) : "quoted text";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "something else";
}

}  // namespace salvor
