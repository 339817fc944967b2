#include "base/io/metrics/registry.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <mutex>
#include <utility>

namespace salvor {

// The scrape goes through here so that computed gauges are fresh.
struct MetricRegistry::State final : prometheus::Collectable {
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::function<void()> refresh_now;
    {
      std::lock_guard lock(mutex);
      refresh_now = refresh;
    }
    if (refresh_now) refresh_now();
    return registry.Collect();
  }

  mutable std::mutex mutex;
  prometheus::Registry registry;
  std::map<std::string, prometheus::Family<prometheus::Counter>*> counters;
  std::map<std::string, prometheus::Family<prometheus::Gauge>*> gauges;
  std::map<std::string, std::pair<prometheus::Family<prometheus::Histogram>*, std::vector<double>>>
      histograms;
  std::function<void()> refresh;
  std::unique_ptr<prometheus::Exposer> exposer;
};

MetricRegistry::MetricRegistry() : state_(std::make_shared<State>()) {}
MetricRegistry::~MetricRegistry() { state_->exposer.reset(); }

void MetricRegistry::DeclareCounter(const std::string& name, const std::string& help) {
  state_->counters[name] = &prometheus::BuildCounter().Name(name).Help(help).Register(state_->registry);
}
void MetricRegistry::DeclareGauge(const std::string& name, const std::string& help) {
  state_->gauges[name] = &prometheus::BuildGauge().Name(name).Help(help).Register(state_->registry);
}
void MetricRegistry::DeclareHistogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& buckets) {
  state_->histograms[name] = {&prometheus::BuildHistogram().Name(name).Help(help).Register(state_->registry),
                              buckets};
}

void MetricRegistry::Add(const std::string& counter, const MetricLabels& labels, double by) {
  state_->counters.at(counter)->Add(labels).Increment(by);
}
void MetricRegistry::Set(const std::string& gauge, const MetricLabels& labels, double value) {
  state_->gauges.at(gauge)->Add(labels).Set(value);
}
void MetricRegistry::Remove(const std::string& gauge, const MetricLabels& labels) {
  auto* family = state_->gauges.at(gauge);
  family->Remove(&family->Add(labels));
}
void MetricRegistry::Observe(const std::string& histogram, const MetricLabels& labels, double value) {
  const auto& [family, buckets] = state_->histograms.at(histogram);
  family->Add(labels, prometheus::Histogram::BucketBoundaries(buckets)).Observe(value);
}

void MetricRegistry::OnScrape(std::function<void()> refresh) {
  std::lock_guard lock(state_->mutex);
  state_->refresh = std::move(refresh);
}

Status MetricRegistry::Serve(const std::string& address) {
  try {
    state_->exposer = std::make_unique<prometheus::Exposer>(address, 1);
    state_->exposer->RegisterCollectable(state_);
  } catch (const std::exception& error) {
    return WithHint(Unavailable("metrics on {}: {}", address, error.what()),
                    "Is the port in use? Choose another with --metrics-listen.");
  }
  return OkStatus();
}

std::string MetricRegistry::Text() { return prometheus::TextSerializer().Serialize(state_->Collect()); }

}  // namespace salvor
