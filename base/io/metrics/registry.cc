#include "base/io/metrics/registry.h"

#include <CivetServer.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>

namespace salvor {

namespace {

// Answers a scrape. prometheus-cpp's own exposer is not used: it adds series of its own, with microseconds for
// a unit and NaN for a value, to everything it serves.
class ScrapeHandler final : public CivetHandler {
 public:
  explicit ScrapeHandler(std::function<std::string()> text) : text_(std::move(text)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const std::string text = text_();
    mg_printf(connection,
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
              "Content-Length: %zu\r\nConnection: close\r\n\r\n",
              text.size());
    mg_write(connection, text.data(), text.size());
    return true;
  }

 private:
  const std::function<std::string()> text_;
};

}  // namespace

struct MetricRegistry::State {
  // The scrape goes through here so that computed values are fresh. One at a time.
  std::string Text() {
    std::lock_guard lock(mutex);
    if (refresh) refresh();
    return prometheus::TextSerializer().Serialize(registry.Collect());
  }

  void Declare(const std::string& name, const std::string& type, const std::string& help,
               const std::vector<std::string>& labels) {
    declared.push_back({name, type, help, labels});
    labels_of[name] = {labels.begin(), labels.end()};
  }

  // Gives the labels back once they are known to be those that were declared.
  const MetricLabels& Checked(const std::string& name, const MetricLabels& labels) const {
    const std::set<std::string>& wanted = labels_of.at(name);
    const bool same =
        wanted.size() == labels.size() &&
        std::equal(wanted.begin(), wanted.end(), labels.begin(),
                   [](const std::string& key, const auto& label) { return key == label.first; });
    if (!same) throw std::logic_error("metric " + name + " was declared with other labels");
    return labels;
  }

  std::mutex mutex;
  std::vector<MetricDescription> declared;
  std::map<std::string, std::set<std::string>> labels_of;
  prometheus::Registry registry;
  std::map<std::string, prometheus::Family<prometheus::Counter>*> counters;
  std::map<std::string, prometheus::Family<prometheus::Gauge>*> gauges;
  std::map<std::string, std::pair<prometheus::Family<prometheus::Histogram>*, std::vector<double>>>
      histograms;
  std::function<void()> refresh;
  ScrapeHandler handler{[this] { return Text(); }};
  std::unique_ptr<CivetServer> server;  // the last: its threads use all of the above
};

MetricRegistry::MetricRegistry() : state_(std::make_shared<State>()) {}
MetricRegistry::~MetricRegistry() { state_->server.reset(); }

void MetricRegistry::DeclareCounter(const std::string& name, const std::string& help,
                                    const std::vector<std::string>& labels) {
  state_->Declare(name, "counter", help, labels);
  state_->counters[name] = &prometheus::BuildCounter().Name(name).Help(help).Register(state_->registry);
}
void MetricRegistry::DeclareGauge(const std::string& name, const std::string& help,
                                  const std::vector<std::string>& labels) {
  state_->Declare(name, "gauge", help, labels);
  state_->gauges[name] = &prometheus::BuildGauge().Name(name).Help(help).Register(state_->registry);
}
void MetricRegistry::DeclareHistogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& buckets,
                                      const std::vector<std::string>& labels) {
  state_->Declare(name, "histogram", help, labels);
  state_->histograms[name] = {&prometheus::BuildHistogram().Name(name).Help(help).Register(state_->registry),
                              buckets};
}
std::vector<MetricDescription> MetricRegistry::Declared() const { return state_->declared; }

void MetricRegistry::Add(const std::string& counter, const MetricLabels& labels, double by) {
  state_->counters.at(counter)->Add(state_->Checked(counter, labels)).Increment(by);
}
void MetricRegistry::RaiseTo(const std::string& counter, const MetricLabels& labels, double total) {
  prometheus::Counter& series = state_->counters.at(counter)->Add(state_->Checked(counter, labels));
  if (const double more = total - series.Value(); more > 0) series.Increment(more);
}
void MetricRegistry::Set(const std::string& gauge, const MetricLabels& labels, double value) {
  state_->gauges.at(gauge)->Add(state_->Checked(gauge, labels)).Set(value);
}
void MetricRegistry::Remove(const std::string& gauge, const MetricLabels& labels) {
  auto* family = state_->gauges.at(gauge);
  family->Remove(&family->Add(state_->Checked(gauge, labels)));
}
void MetricRegistry::Observe(const std::string& histogram, const MetricLabels& labels, double value) {
  const auto& [family, buckets] = state_->histograms.at(histogram);
  family->Add(state_->Checked(histogram, labels), prometheus::Histogram::BucketBoundaries(buckets))
      .Observe(value);
}

void MetricRegistry::OnScrape(std::function<void()> refresh) {
  std::lock_guard lock(state_->mutex);
  state_->refresh = std::move(refresh);
}

Status MetricRegistry::Serve(const std::string& address) {
  try {
    // Who connects and asks nothing holds a thread for as long as the timeout.
    state_->server = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", address, "num_threads", "4", "request_timeout_ms", "5000"});
    state_->server->addHandler("/metrics", state_->handler);
  } catch (const std::exception&) {  // its words name no cause
    return WithHint(Unavailable("metrics cannot be served on {}", address),
                    "Is the port in use? Choose another with --metrics-listen.");
  }
  return OkStatus();
}

std::string MetricRegistry::Text() { return state_->Text(); }

}  // namespace salvor
