// SPDX-License-Identifier: Apache-2.0
// Owns the families of metrics, the histogram's buckets and the text that Prometheus scrapes.
#include "host/base/metrics.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <variant>

#include "host/base/error.hpp"

namespace millrace::metrics {
namespace {

constexpr uint64_t us_per_s = 1'000'000;

/// Exact decimal seconds without trailing zeros: 1 is "0.000001", 2,000,000 is "2".
std::string seconds_text(uint64_t us) {
    std::string out = std::to_string(us / us_per_s);
    uint64_t fraction = us % us_per_s;
    if (fraction == 0) { return out; }
    std::string digits = std::to_string(fraction);
    digits.insert(0, 6 - digits.size(), '0');
    digits.erase(digits.find_last_not_of('0') + 1);
    return out + "." + digits;
}

/// HELP text may hold anything but a bare backslash or line end.
std::string escaped_help(std::string_view help) {
    std::string out;
    for (const char c : help) {
        if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else {
            out.push_back(c);
        }
    }
    return out;
}

bool is_metric_name(std::string_view name) noexcept {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
    };
    return !name.empty() && letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// name{labels,extra} value
void append_sample(std::string& out, std::string_view name, std::string_view suffix,
                   std::string_view labels, std::string_view extra, std::string_view value) {
    out += name;
    out += suffix;
    if (!labels.empty() || !extra.empty()) {
        out.push_back('{');
        out += labels;
        if (!labels.empty() && !extra.empty()) { out.push_back(','); }
        out += extra;
        out.push_back('}');
    }
    out.push_back(' ');
    out += value;
    out.push_back('\n');
}

void append_text(std::string& out, std::string_view name, std::string_view labels,
                 const Counter& counter) {
    append_sample(out, name, "", labels, "", std::to_string(counter.value()));
}
void append_text(std::string& out, std::string_view name, std::string_view labels,
                 const Gauge& gauge) {
    append_sample(out, name, "", labels, "", std::to_string(gauge.value()));
}
void append_text(std::string& out, std::string_view name, std::string_view labels,
                 const Histogram& histogram) {
    // Each bucket is read once, so that _count always equals the +Inf bucket as the format asks,
    // whatever is observed meanwhile.
    const double sum = histogram.sum_seconds();
    uint64_t seen = 0;
    for (size_t i = 0; i <= Histogram::bucket_count; ++i) {
        seen += histogram.bucket(i);
        const std::string bound =
            i == Histogram::bucket_count ? "+Inf" : seconds_text(uint64_t{1} << i);
        append_sample(out, name, "_bucket", labels, "le=\"" + bound + "\"", std::to_string(seen));
    }
    const auto sum_us = static_cast<uint64_t>(std::llround(sum * us_per_s));
    append_sample(out, name, "_sum", labels, "", seconds_text(sum_us));
    append_sample(out, name, "_count", labels, "", std::to_string(seen));
}

constexpr std::string_view type_name(const Counter*) { return "counter"; }
constexpr std::string_view type_name(const Gauge*) { return "gauge"; }
constexpr std::string_view type_name(const Histogram*) { return "histogram"; }

/// All metrics of one name and type, by their labels. Map nodes never move, so references to the
/// metrics stay good.
template <class Metric>
using Members = std::map<std::string, Metric, std::less<>>;

struct Family {
    std::string help;
    std::variant<Members<Counter>, Members<Gauge>, Members<Histogram>> members;
};

/// Nothing when the family is of another type.
template <class Metric>
void append_family(std::string& out, std::string_view name, const Family& family) {
    const auto* members = std::get_if<Members<Metric>>(&family.members);
    if (members == nullptr) { return; }
    out += "# HELP ";
    out += name;
    out.push_back(' ');
    out += escaped_help(family.help);
    out += "\n# TYPE ";
    out += name;
    out.push_back(' ');
    out += type_name(static_cast<const Metric*>(nullptr));
    out.push_back('\n');
    for (const auto& [labels, metric] : *members) { append_text(out, name, labels, metric); }
}

}  // namespace

void Histogram::observe_us(uint64_t us) noexcept {
    // Bucket i holds (2^(i-1), 2^i] microseconds; the first also holds 0, the last all the rest.
    const size_t i = us <= 1 ? 0 : static_cast<size_t>(std::bit_width(us - 1));
    buckets_[std::min(i, bucket_count)].fetch_add(1, std::memory_order_relaxed);
    sum_us_.fetch_add(us, std::memory_order_relaxed);
}

uint64_t Histogram::count() const noexcept {
    uint64_t n = 0;
    for (size_t i = 0; i <= bucket_count; ++i) { n += bucket(i); }
    return n;
}

double Histogram::sum_seconds() const noexcept {
    return static_cast<double>(sum_us_.load(std::memory_order_relaxed)) / us_per_s;
}

uint64_t Histogram::quantile_us(double q) const noexcept {
    std::array<uint64_t, bucket_count + 1> snapshot{};
    uint64_t total = 0;
    for (size_t i = 0; i <= bucket_count; ++i) { total += snapshot[i] = bucket(i); }
    if (total == 0) { return 0; }
    const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(total));
    const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, total);
    uint64_t seen = 0;
    for (size_t i = 0; i < bucket_count; ++i) {
        seen += snapshot[i];
        if (seen >= rank) { return uint64_t{1} << i; }
    }
    return UINT64_MAX;
}

struct Registry::Impl {
    mutable std::mutex mutex;  // guards families; taken to register and to scrape, never to count
    std::map<std::string, Family, std::less<>> families;

    template <class Metric>
    Metric& find_or_add(std::string_view name, std::string_view help, std::string_view labels) {
        MILLRACE_ASSERT(is_metric_name(name), "a metric's name is [a-zA-Z_:][a-zA-Z0-9_:]*");
        const std::lock_guard lock(mutex);
        auto it = families.find(name);
        if (it == families.end()) {
            it = families.emplace(name, Family{std::string(help), Members<Metric>{}}).first;
        }
        auto* members = std::get_if<Members<Metric>>(&it->second.members);
        MILLRACE_ASSERT(members != nullptr, "a metric's name has one type");
        const auto member = members->find(labels);
        return member != members->end() ? member->second
                                        : members->try_emplace(std::string(labels)).first->second;
    }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, std::string_view labels) {
    return impl_->find_or_add<Counter>(name, help, labels);
}
Gauge& Registry::gauge(std::string_view name, std::string_view help, std::string_view labels) {
    return impl_->find_or_add<Gauge>(name, help, labels);
}
Histogram& Registry::histogram(std::string_view name, std::string_view help,
                               std::string_view labels) {
    return impl_->find_or_add<Histogram>(name, help, labels);
}

std::string Registry::prometheus() const {
    std::string out;
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [name, family] : impl_->families) {
        append_family<Counter>(out, name, family);
        append_family<Gauge>(out, name, family);
        append_family<Histogram>(out, name, family);
    }
    return out;
}

StageFigures::StageFigures(Registry& registry, std::string_view stage)
    : depth(registry.gauge("millrace_stage_depth", "What is in a stage of the pipeline",
                           "stage=\"" + std::string(stage) + "\"")),
      age(registry.histogram("millrace_stage_age_seconds",
                             "How long what leaves a stage was in it, of a sample",
                             "stage=\"" + std::string(stage) + "\"")),
      drops(registry.counter("millrace_stage_drops_total",
                             "What a stage refused or gave up for lack of room, time or use",
                             "stage=\"" + std::string(stage) + "\"")) {}

}  // namespace millrace::metrics
