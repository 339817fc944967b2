#include "flows/graph/place_of_0_1.h"

namespace salvor::flows {

v1::Place PlaceOf01(const v1::Step& step) {
  v1::Place place;
  place.set_name(step.movable() ? "anywhere" : "host");
  place.set_runtime(v1::RUNTIME_HOST);
  place.set_kind(v1::AGENT_KIND_HOST);
  place.set_movable(step.movable());
  return place;
}

}  // namespace salvor::flows
