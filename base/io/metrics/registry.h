// Prometheus metrics behind a small door; the library stays in the .cc. Thread-safe.
//
// Series are made on first use and removed with their object. Names and units follow Prometheus' conventions:
// salvor_ in front, base units at the end, _total for counters.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace salvor {

using MetricLabels = std::map<std::string, std::string>;

// One metric as it was declared.
struct MetricDescription {
  std::string name, type, help;  // type: in Prometheus' words, "counter"
  std::vector<std::string> labels;
};

class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();

  // Declares before use; `help` is a sentence, `labels` are those that every series of it has. Declaring twice, and using
  // other labels or what was not declared, is a programming error.
  void DeclareCounter(const std::string& name, const std::string& help,
                      const std::vector<std::string>& labels = {});
  void DeclareGauge(const std::string& name, const std::string& help,
                    const std::vector<std::string>& labels = {});
  void DeclareHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                        const std::vector<std::string>& labels = {});

  // What was declared, in that order: docs/reference/metrics.md is held to it.
  std::vector<MetricDescription> Declared() const;

  void Add(const std::string& counter, const MetricLabels& labels, double by = 1);
  // Takes over a total that somebody else counts; never lowers the counter. One thread at a time for one series.
  void RaiseTo(const std::string& counter, const MetricLabels& labels, double total);
  void Set(const std::string& gauge, const MetricLabels& labels, double value);
  void Remove(const std::string& gauge, const MetricLabels& labels);
  void Observe(const std::string& histogram, const MetricLabels& labels, double value);

  // Called at each scrape, one at a time, before the values are read: for what is computed. Returns once no
  // earlier `refresh` runs any more, so it must not be called from one.
  void OnScrape(std::function<void()> refresh);

  // Serves /metrics, these series and no others, on this address ("127.0.0.1:9420") until the registry is destroyed.
  Status Serve(const std::string& address);

  // The text that a scrape gets.
  std::string Text();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace salvor
