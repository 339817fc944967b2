// Names of container images, as far as a restore moves them to another registry. Pure.
#pragma once

#include <google/protobuf/map.h>

#include <string>

namespace salvor::velero {

// The image under the prefix that stands for its own; the same name where none of them is its own. A prefix is whole parts
// between slashes ("registry.example.com/shop"), and the longest that fits is taken. An image that names no registry is of
// docker.io, and one that names no folder there of docker.io/library.
std::string MoveImage(const std::string& image,
                      const google::protobuf::Map<std::string, std::string>& prefixes);

}  // namespace salvor::velero
