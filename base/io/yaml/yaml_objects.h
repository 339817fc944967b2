// Declared objects as YAML documents: apiVersion, kind, metadata and spec, as in Kubernetes.
//
// Strict: unknown and doubled fields, wrong types and words are refused, each with its position, and all of
// them at once. What an object means is not judged here (strategies/compose/compile.h does), but its problems can be
// placed in the text. Nothing throws; everything may be called from any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/io/yaml/yaml_tree.h"
#include "salvor/v1/object.pb.h"

namespace salvor {

inline constexpr char kApiVersion[] = "salvor.dev/v1";

// Something wrong in a file, and where.
struct YamlProblem {
  std::string file;
  SourcePosition at;
  std::string field;  // "spec.components[0].postgres.databases[1]"; empty: the whole document
  std::string message;

  // "app.yaml:12:5: spec.components[0].name: must not be empty"
  std::string ToString() const;
};

// The place at which each field of one document stands.
class FieldPositions {
 public:
  void Add(const std::string& field, SourcePosition at) { positions_.emplace(field, at); }

  // The position of the field, or of the nearest one around it.
  SourcePosition Find(std::string_view field) const;

 private:
  std::map<std::string, SourcePosition, std::less<>> positions_;
};

struct ParsedObject {
  v1::Object object;
  std::string file;
  FieldPositions positions;
  std::vector<std::string> unread;  // fields with a problem: they, or a part of them, are not in `object`
};

struct ParsedFile {
  // The objects as far as they could be read: with any problem they serve to look for further ones, and for nothing
  // else. Empty when the text is no YAML.
  std::vector<ParsedObject> objects;
  std::vector<YamlProblem> problems;  // in order of position
};

// All documents of one text. `file_name` is for messages only.
ParsedFile ParseObjects(std::string_view text, const std::string& file_name);

// A problem that the control plane found in `objects` (by its index), placed in the file it came from.
YamlProblem LocateProblem(const std::vector<ParsedObject>& objects, const v1::Problem& problem);

// Those of the problems found in `objects` (by their index) that do not merely follow from what could not be
// read, of which `unread` tells: in the same object, or the name of another.
std::vector<v1::Problem> WithoutConsequences(const std::vector<ParsedObject>& objects,
                                             const std::vector<YamlProblem>& unread,
                                             const std::vector<v1::Problem>& problems);

// A document that ParseObjects reads back as the same object; metadata.generation, which only the control
// plane sets, is left out.
std::string RenderObjectYaml(const v1::Object& object);

}  // namespace salvor
