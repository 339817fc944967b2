// The changes that a drill makes to the objects of a backup, in the words of Velero's resource modifiers. Pure.
//
// Nothing of the application runs in a drill. Of each pod that holds volumes stays what Velero waits with until they
// are filled, and a container of ours that waits, so that its claims are bound and its data come back; it has no
// token, no label that a controller looks for, and mounts nothing. Whatever would make pods makes none, nothing is
// reached from outside, and only the kinds of objects come back of which that is known.
#pragma once

#include <string>
#include <string_view>

#include "agent/kubernetes/velero/reading.h"

namespace salvor::velero {

// The class of volumes that come back as objects: nothing is of that class, so no claim gets them.
inline constexpr char kParkedClass[] = "salvor-parked";

// The command of a container of our image that waits.
Json HoldCommand();

// The names of all kinds that come back in a drill, as Velero's filters take them.
Json ScratchResources();

// True where objects of a kind as Velero's lists have it ("networking.k8s.io/v1/Ingress") are left out of a drill.
bool IsLeftOutOfScratch(std::string_view kind);

// The text of the modifiers; `image` is the agent's own.
std::string ScratchModifiers(const std::string& image);

// The ConfigMap of that text, with the Restore's own name and labels.
Json MakeModifiers(const Json& restore, const std::string& image);

// True where Velero says by it that the drill's own walls refused an object, which says nothing about the backup.
bool IsRefusalOfScratch(std::string_view said);

}  // namespace salvor::velero
