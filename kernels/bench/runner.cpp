// SPDX-License-Identifier: Apache-2.0
// Owns the order of a run: verify, calibrate, sample in turns, verify again.
#include "kernels/bench/runner.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "kernels/bench/clocks.hpp"
#include "kernels/bench/crew.hpp"

namespace millrace::kernel_bench {

namespace {

/// Long against reading two clocks, short enough for many samples.
constexpr double sample_ns_target = 1e6;
constexpr size_t kernel_samples_max = 1000;

std::string seconds_text(double seconds) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g s", seconds);
    return text;
}

/// One row while it is measured.
struct Entry {
    Row row;
    size_t contender = 0;  ///< index in the case
    size_t id = 0;         ///< of the contender
    Crew* crew = nullptr;
    /// Does a part and notes what failed; made once, since making it may allocate.
    std::function<void(size_t part)> do_part;
    size_t parts = 1;
    std::vector<std::string> faults;  ///< of each part
    std::vector<double> samples_ns;
    double wall_ns = 0;  ///< of all samples together
    double cpu_ns = 0;

    void attach(Workload& workload) {
        parts = std::min(row.threads, row.batch);
        faults.assign(parts, {});
        workload.prepare_parts(parts);
        do_part = [this, &workload](size_t part) {
            if (const Result<void> done = workload.run(id, part, parts); !done) {
                faults[part] = done.error().message;
            }
        };
    }

    void call() { crew->run(parts, do_part); }

    void give_up(RowState state, std::string reason) {
        row.state = state;
        row.reason = std::move(reason);
    }

    /// Whether no part failed; else the row has.
    bool went_well() {
        for (const std::string& fault : faults) {
            if (!fault.empty()) {
                give_up(RowState::failed, fault);
                return false;
            }
        }
        return true;
    }

    /// Whether one call gives the right answer; its time goes to `ns`.
    bool verify(Workload& workload, double& ns) {
        workload.forget();
        const Crew::CallerOnItsCore placed(*crew);
        const int64_t start = wall_ns_now();
        call();
        ns = static_cast<double>(wall_ns_now() - start);
        if (!went_well()) { return false; }
        if (std::string difference = workload.compare(); !difference.empty()) {
            give_up(RowState::failed, "wrong answer: " + difference);
            return false;
        }
        return true;
    }

    void calibrate(double seconds) {
        const Crew::CallerOnItsCore placed(*crew);
        const int64_t start = wall_ns_now();
        call();
        const auto ns = std::max(1.0, static_cast<double>(wall_ns_now() - start));
        const double target = std::min(sample_ns_target, seconds * 1e9 / 20);
        row.calls_per_sample = static_cast<size_t>(std::clamp(target / ns, 1.0, 1e6));
    }

    void take_sample() {
        const Crew::CallerOnItsCore placed(*crew);
        // What the others did to the caches is not this row's doing.
        if (row.calls_per_sample > 1) { call(); }
        const int64_t cpu_start = process_cpu_ns();
        const int64_t start = wall_ns_now();
        for (size_t i = 0; i < row.calls_per_sample; ++i) { call(); }
        const auto ns = static_cast<double>(wall_ns_now() - start);
        cpu_ns += static_cast<double>(process_cpu_ns() - cpu_start);
        wall_ns += ns;
        samples_ns.push_back(ns / static_cast<double>(row.calls_per_sample));
    }

    void conclude() {
        row.end_to_end_ns = summarize(samples_ns);
        // The mean of many calls has a tail of its own.
        if (row.calls_per_sample > 1) { row.end_to_end_ns.p99.reset(); }
        row.cpu_ns_per_batch =
            cpu_ns / static_cast<double>(samples_ns.size() * row.calls_per_sample);
        row.state = RowState::measured;
    }

private:
    static int64_t wall_ns_now() { return kernel_bench::wall_ns(); }
};

/// The least times of the two largest batches so far, and what they say of a larger one.
struct Past {
    double batch[2] = {};
    double ns[2] = {};
    size_t points = 0;

    void add(double at, double least_ns) {
        batch[0] = batch[1];
        ns[0] = ns[1];
        batch[1] = at;
        ns[1] = least_ns;
        ++points;
    }

    /// On the line through the two; of one, in proportion, which takes waiting for work.
    double at(double larger) const {
        if (points == 0) { return 0; }
        if (points == 1) { return ns[1] * larger / batch[1]; }
        const double each = std::max(0.0, (ns[1] - ns[0]) / (batch[1] - batch[0]));
        return ns[1] + each * (larger - batch[1]);
    }
};

class Runner {
public:
    explicit Runner(const RunOptions& options) : options_(options) {
        report_.seed = options.seed;
        report_.seconds_per_row = options.seconds;
        std::set<size_t> sizes(options.threads.begin(), options.threads.end());
        sizes.insert(1);  // the one that drives a device, or has a batch to itself
        for (const size_t size : sizes) { crews_[size] = std::make_unique<Crew>(size); }
    }

    Report run(const std::vector<const Family*>& families) {
        std::vector<std::pair<const Family*, KernelCase>> cases;
        for (const Family* family : families) {
            for (KernelCase& c : family->cases(options_.family)) {
                std::erase_if(c.contenders, [&](const Contender& k) { return !wanted(k); });
                if (!c.contenders.empty()) { cases.emplace_back(family, std::move(c)); }
            }
        }
        for (const auto& [family, c] : cases) {
            for (const Contender& k : c.contenders) { total_ += rows_of(c, k); }
        }
        measure_peaks(cases);
        for (const auto& [family, c] : cases) { run_case(*family, c); }
        report_.interrupted = stopped();
        report_.crossovers = find_crossovers(report_.rows);
        return std::move(report_);
    }

private:
    bool wanted(const Contender& k) const {
        return std::find(options_.backends.begin(), options_.backends.end(), k.backend) !=
               options_.backends.end();
    }
    bool stopped() const {
        // Relaxed: only the flag itself matters.
        return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
    }
    std::vector<size_t> threads_of(const KernelCase& c, const Contender& k) const {
        return k.on_device || c.one_thread ? std::vector<size_t>{1} : options_.threads;
    }
    size_t rows_of(const KernelCase& c, const Contender& k) const {
        return k.available ? options_.batches.size() * threads_of(c, k).size() : 1;
    }

    void measure_peaks(const std::vector<std::pair<const Family*, KernelCase>>& cases) {
        std::set<CpuUnit> units;
        for (const auto& [family, c] : cases) {
            for (const Contender& k : c.contenders) {
                for (const Ceiling& ceiling : k.ceilings) {
                    if (ceiling.unit && k.available) { units.insert(*ceiling.unit); }
                }
            }
        }
        for (const CpuUnit unit : units) {
            for (const size_t threads : options_.threads) {
                if (options_.peak_seconds <= 0 || stopped()) { return; }
                const Crew::CallerOnItsCore placed(*crews_[threads]);
                const auto peak = measure_peak(unit, *crews_[threads], options_.peak_seconds);
                if (peak) { report_.peaks.push_back({unit, threads, *peak}); }
            }
        }
    }

    void finish(Row row) {
        ++done_;
        if (options_.progress) { options_.progress(row, done_, total_); }
        report_.rows.push_back(std::move(row));
    }

    Row empty_row(const Family& family, const KernelCase& c, const Contender& k) const {
        Row row;
        row.family = family.name;
        row.kernel = c.kernel;
        row.shape = c.shape;
        row.item = c.item;
        row.backend = k.backend;
        row.target = k.target;
        row.on_device = k.on_device;
        row.bytes_per_item = c.bytes_per_item;
        row.rate_in_bytes = c.rate_in_bytes;
        row.no_kernel_time = k.no_kernel_time;
        return row;
    }

    void run_case(const Family& family, const KernelCase& c) {
        for (const Contender& k : c.contenders) {
            if (k.available) { continue; }
            Row row = empty_row(family, c, k);
            row.reason = k.reason;
            finish(std::move(row));
        }
        past_.clear();
        for (const size_t batch : options_.batches) {
            std::vector<Entry> entries;
            for (size_t i = 0; i < c.contenders.size(); ++i) {
                const Contender& k = c.contenders[i];
                if (!k.available) { continue; }
                for (const size_t threads : threads_of(c, k)) {
                    Entry& entry = entries.emplace_back();
                    entry.row = empty_row(family, c, k);
                    entry.row.batch = batch;
                    entry.row.threads = threads;
                    entry.contender = i;
                    entry.id = k.id;
                    entry.crew = crews_[entry.row.threads].get();
                }
            }
            run_batch(c, batch, entries);
            for (Entry& entry : entries) {
                if (entry.row.state == RowState::measured) {
                    add_peaks(c.contenders[entry.contender], entry.row);
                }
                finish(std::move(entry.row));
            }
        }
    }

    /// How long a call will take, as far as smaller batches tell; 0 when they do not.
    double predict_ns(const Entry& entry) const {
        const auto past_of = [&](size_t threads) {
            const auto found = past_.find({entry.contender, threads});
            return found == past_.end() ? Past{} : found->second;
        };
        const auto batch = static_cast<double>(entry.row.batch);
        const Past own = past_of(entry.row.threads);
        if (entry.row.threads == 1 && !entry.row.on_device) { return own.at(batch); }
        // One batch is mostly the wait for a device or for threads.
        const double alone = entry.row.on_device ? 0 : past_of(1).at(batch);
        if (own.points < 2) { return alone; }
        return alone == 0 ? own.at(batch) : std::min(alone, own.at(batch));
    }

    /// The entries that may run, after those that may not were told why.
    std::vector<Entry*> admit(const KernelCase& c, size_t batch, std::vector<Entry>& entries) {
        std::vector<Entry*> admitted;
        const size_t memory = c.memory_bytes(batch);
        const double call_seconds_max = call_seconds_factor * options_.seconds;
        for (Entry& entry : entries) {
            const double seconds = predict_ns(entry) * 1e-9;
            if (stopped()) {
                entry.give_up(RowState::skipped, "interrupted");
            } else if (memory > options_.memory_bytes_max) {
                entry.give_up(RowState::skipped,
                              "the batch needs " + std::to_string(memory >> 20) +
                                  " MiB, more than " +
                                  std::to_string(options_.memory_bytes_max >> 20));
            } else if (seconds > call_seconds_max) {
                entry.give_up(RowState::skipped, "one call would take more than " +
                                                     seconds_text(call_seconds_max) +
                                                     "; a larger --seconds allows it");
            } else {
                admitted.push_back(&entry);
            }
        }
        return admitted;
    }

    void run_batch(const KernelCase& c, size_t batch, std::vector<Entry>& entries) {
        std::vector<Entry*> alive = admit(c, batch, entries);
        if (alive.empty()) { return; }
        const std::unique_ptr<Workload> workload = c.prepare(batch, options_.seed);
        std::erase_if(alive, [&](Entry* entry) {
            double ns = 0;
            entry->attach(*workload);
            if (!entry->verify(*workload, ns)) { return true; }
            entry->calibrate(options_.seconds);
            return false;
        });
        sample_in_turns(alive);
        for (Entry* entry : alive) { conclude(c, *workload, *entry); }
    }

    void sample_in_turns(const std::vector<Entry*>& alive) {
        const double wanted_ns = options_.seconds * 1e9;
        for (bool more = true; more && !stopped();) {
            more = false;
            for (Entry* entry : alive) {
                if (entry->wall_ns >= wanted_ns && entry->samples_ns.size() >= samples_min) {
                    continue;
                }
                if (stopped()) { return; }
                entry->take_sample();
                more = true;
            }
        }
    }

    void conclude(const KernelCase& c, Workload& workload, Entry& entry) {
        if (entry.samples_ns.size() < samples_min) {
            entry.give_up(RowState::skipped, "interrupted");
            return;
        }
        double ns = 0;
        if (!entry.went_well() || !entry.verify(workload, ns)) { return; }
        entry.conclude();
        past_[{entry.contender, entry.row.threads}].add(static_cast<double>(entry.row.batch),
                                                        entry.row.end_to_end_ns.min);
        const Contender& k = c.contenders[entry.contender];
        if (k.on_device && k.no_kernel_time.empty()) { time_kernel(workload, entry); }
    }

    /// The device's own time; its answer is compared as well.
    void time_kernel(Workload& workload, Entry& entry) {
        std::vector<double> samples_ns;
        const int64_t start = wall_ns();
        const auto wanted_ns = static_cast<int64_t>(options_.seconds * 1e9);
        workload.forget();
        // The first one warms up.
        for (size_t i = 0; i <= kernel_samples_max; ++i) {
            const Result<double> us = workload.kernel_us(entry.id);
            if (!us) {
                entry.give_up(RowState::failed, us.error().message);
                return;
            }
            if (i > 0) { samples_ns.push_back(*us * 1e3); }
            const bool enough = wall_ns() - start >= wanted_ns || stopped();
            if (samples_ns.size() >= samples_min && enough) { break; }
        }
        if (std::string difference = workload.compare(); !difference.empty()) {
            entry.give_up(RowState::failed, "wrong answer of the timed kernel: " + difference);
            return;
        }
        entry.row.kernel_ns = summarize(std::move(samples_ns));
    }

    void add_peaks(const Contender& k, Row& row) const {
        for (const Ceiling& ceiling : k.ceilings) {
            double bound = ceiling.rate;
            if (ceiling.unit) {
                const auto peak = std::ranges::find_if(report_.peaks, [&](const MeasuredPeak& p) {
                    return p.unit == *ceiling.unit && p.threads == row.threads;
                });
                if (peak == report_.peaks.end()) { continue; }
                bound = peak->per_second / ceiling.units_per_item;
            }
            double rate = row.items_per_second();
            if (ceiling.kernel_only && row.on_device) {
                if (!row.kernel_ns) { continue; }
                rate = static_cast<double>(row.batch) * 1e9 / row.kernel_ns->median;
            }
            row.peaks.push_back({ceiling.name, bound, rate / bound});
        }
    }

    const RunOptions& options_;
    Report report_;
    std::map<size_t, std::unique_ptr<Crew>> crews_;   ///< by size
    std::map<std::pair<size_t, size_t>, Past> past_;  ///< of the case, by contender and threads
    size_t done_ = 0;
    size_t total_ = 0;
};

}  // namespace

Report run_families(const std::vector<const Family*>& families, const RunOptions& options) {
    return Runner(options).run(families);
}

}  // namespace millrace::kernel_bench
