// SPDX-License-Identifier: Apache-2.0
// Owns how a whole sequencer is fed, checked and timed.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "host/node/benchmark/cpu_time.hpp"
#include "host/node/benchmark/pipeline_stages.hpp"
#include "host/node/benchmark/thread_times.hpp"
#include "host/node/temporary_directory.hpp"
#include "host/sequencer/sequencer.hpp"
#include "kernels/bench/clocks.hpp"

namespace millrace::node {
namespace {

using sequencer::AdmittedPtr;
using sequencer::MiniBlockPtr;
using sequencer::SealedPtr;

double us_of(int64_t ns) { return static_cast<double>(ns) / 1e3; }

/// Submissions whose admission has not ended: fewer than the node refuses.
constexpr size_t admissions_max = 8192;
/// A run that gets nothing durable for so long has failed.
constexpr auto patience = std::chrono::seconds(30);

/// Keeps the mini-blocks with the time at which they became visible.
class Publications final : public sequencer::ChainObserver {
public:
    struct Publication {
        int64_t wall_ns;
        MiniBlockPtr mini_block;
    };
    void on_mini_block(const MiniBlockPtr& m) override {
        const int64_t now = kernel_bench::wall_ns();
        const std::lock_guard lock{mutex_};
        list_.push_back({now, m});
        count_ += m->transactions.size();
        changed_.notify_all();
    }
    void on_sealed(const SealedPtr&) override {}
    void on_reverted(uint64_t, const std::vector<SealedPtr>&,
                     const std::vector<MiniBlockPtr>&) override {}

    /// Waits until `count` transactions are durable; false when nothing more comes.
    bool wait_for(size_t count) {
        std::unique_lock lock{mutex_};
        while (count_ < count) {
            const size_t before = count_;
            if (!changed_.wait_for(lock, patience, [&] { return count_ != before; })) {
                return false;
            }
        }
        return true;
    }
    std::vector<Publication> list() const {
        const std::lock_guard lock{mutex_};
        return list_;
    }

private:
    mutable std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::vector<Publication> list_;
    size_t count_ = 0;
};

/// What became of the submissions.
struct Admissions {
    std::atomic<size_t> ended{0};
    std::atomic<size_t> refused{0};
    std::mutex mutex;  // guards first_refusal
    std::string first_refusal;

    sequencer::AdmissionDone note() {
        return [this](const std::expected<sequencer::Admission, sequencer::Refusal>& r) {
            if (!r) {
                refused.fetch_add(1, std::memory_order_relaxed);
                const std::lock_guard lock{mutex};
                if (first_refusal.empty()) { first_refusal = to_string(r.error()); }
            }
            // Release: whoever sees the end sees the refusal.
            ended.fetch_add(1, std::memory_order_release);
        };
    }
};

/// The sequencer of one run with all that it stands on.
class NodeRun {
public:
    NodeRun(const PipelineProfile& profile, uint32_t workers, bool recover)
        : profile_(profile), workers_(workers), recover_(recover) {}

    /// Feeds `rate` transactions a second, or with 0 as many as are taken.
    Result<PipelineSample> run(const std::string& scratch, double rate) {
        TemporaryDirectory directory;
        MILLRACE_TRY(const std::string at, directory.create("node", scratch));
        MILLRACE_TRY(engine_, kernels::OffloadEngine::create({}));
        sequencer::LedgerOptions ledger_options;
        ledger_options.path = at + "/data";
        ledger_options.checkpoint_every_records = 0;
        ledger_options.wal_segment_bytes = pipeline_segment_bytes(profile_.transactions.size());
        ledger_options.wal_record_bytes_max = ledger_options.wal_segment_bytes / 2;
        ledger_options.offload = engine_.get();
        MILLRACE_TRY(ledger_,
                     sequencer::Ledger::open(*file_system_, ledger_options, profile_.genesis,
                                             pipeline_precompiles(), registry_));
        sequencer::SequencerOptions options;
        options.execution_workers = workers_;
        options.native_tier = profile_.native_tier;
        options.pool.transactions_max =
            std::max(options.pool.transactions_max, 2 * profile_.transactions.size());
        sequencer::Sequencer sequencer{options,
                                       profile_.genesis,
                                       pipeline_precompiles(),
                                       *ledger_,
                                       *engine_,
                                       registry_,
                                       [this](const Error& e) {
                                           const std::lock_guard lock{admissions_.mutex};
                                           admissions_.first_refusal = e.message;
                                       }};
        ledger_->view().add_observer(&publications_);
        sequencer.start();

        const auto times_before = thread_times_ns();
        const int64_t cpu = kernel_bench::process_cpu_ns();
        const int64_t start = kernel_bench::wall_ns();
        const int64_t own = thread_cpu_ns();
        feed(sequencer, rate);
        feed_cpu_us_ = us_of(thread_cpu_ns() - own);
        const bool all_durable =
            publications_.wait_for(profile_.transactions.size() - admissions_.refused.load());
        const double cpu_us = us_of(kernel_bench::process_cpu_ns() - cpu);
        const auto times_after = thread_times_ns();
        engine_->shutdown();
        sequencer.stop();
        ledger_->view().remove_observer(&publications_);
        MILLRACE_CHECK(check(all_durable));
        return sample_of(start, cpu_us, times_before, times_after);
    }

private:
    void feed(sequencer::Sequencer& sequencer, double rate) {
        const size_t count = profile_.transactions.size();
        submitted_ns_.resize(count);
        const int64_t start = kernel_bench::wall_ns();
        for (size_t i = 0; i < count; ++i) {
            if (rate > 0) {
                const int64_t due =
                    start + static_cast<int64_t>(static_cast<double>(i) / rate * 1e9);
                for (int64_t now = kernel_bench::wall_ns(); now < due;
                     now = kernel_bench::wall_ns()) {
                    std::this_thread::sleep_for(std::chrono::nanoseconds(due - now));
                }
                // What the node keeps waiting has waited since it was due.
                submitted_ns_[i] = due;
            } else {
                submitted_ns_[i] = kernel_bench::wall_ns();
            }
            while (i - admissions_.ended.load(std::memory_order_acquire) >= admissions_max) {
                std::this_thread::sleep_for(std::chrono::microseconds(50));
            }
            const AdmittedPtr& tx = profile_.transactions[i];
            if (recover_) {
                sequencer.submit(tx->raw, admissions_.note());
            } else {
                sequencer.submit_admitted(tx, admissions_.note());
            }
        }
        while (admissions_.ended.load(std::memory_order_acquire) < count) {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }

    Result<void> check(bool all_durable) {
        if (const size_t n = admissions_.refused.load(); n != 0 || !all_durable) {
            const std::lock_guard lock{admissions_.mutex};
            return fail(ErrorCode::corrupt, std::to_string(n) +
                                                " transactions were refused, the others were " +
                                                (all_durable ? "" : "not all ") + "executed" +
                                                (admissions_.first_refusal.empty() ? "" : ": ") +
                                                admissions_.first_refusal);
        }
        std::vector<sequencer::ExecutedPtr> executed;
        for (const auto& p : publications_.list()) {
            executed.insert(executed.end(), p.mini_block->transactions.begin(),
                            p.mini_block->transactions.end());
        }
        return check_profile(profile_, executed, *ledger_->state().snapshot());
    }

    PipelineSample sample_of(int64_t start, double cpu_us,
                             const std::map<std::string, double>& before,
                             const std::map<std::string, double>& after) const {
        std::unordered_map<Hash256, int64_t> submitted;
        for (size_t i = 0; i < profile_.transactions.size(); ++i) {
            submitted.emplace(profile_.transactions[i]->hash, submitted_ns_[i]);
        }
        std::vector<double> latency_ms;
        int64_t end = start;
        const auto publications = publications_.list();
        for (const auto& p : publications) {
            end = std::max(end, p.wall_ns);
            for (const auto& t : p.mini_block->transactions) {
                latency_ms.push_back(us_of(p.wall_ns - submitted.at(t->admitted->hash)) / 1e3);
            }
        }
        std::ranges::sort(latency_ms);
        PipelineSample s;
        s.wall_us = us_of(end - start);
        s.cpu_us = cpu_us;
        s.figures = {{"latency_p50_ms", kernel_bench::nearest_rank(latency_ms, 0.5)},
                     {"latency_p99_ms", kernel_bench::nearest_rank(latency_ms, 0.99)},
                     {"mini_blocks", static_cast<double>(publications.size())}};
        const double n = static_cast<double>(profile_.transactions.size());
        double named = feed_cpu_us_;
        s.figures.emplace_back("feed_cpu_us", feed_cpu_us_ / n);
        for (const char* name : {"mr-sequencer", "mr-exec", "mr-commit", "offload"}) {
            const auto of = [name](const std::map<std::string, double>& times) {
                const auto at = times.find(name);
                return at == times.end() ? 0.0 : at->second;
            };
            const double us = (of(after) - of(before)) / 1e3;
            named += us;
            s.figures.emplace_back(std::string(name) + "_cpu_us", us / n);
        }
        s.figures.emplace_back("others_cpu_us", (cpu_us - named) / n);
        return s;
    }

    const PipelineProfile& profile_;
    uint32_t workers_;
    bool recover_;
    metrics::Registry registry_;
    std::unique_ptr<storage::FileSystem> file_system_ = storage::make_posix_file_system();
    std::unique_ptr<kernels::OffloadEngine> engine_;
    std::unique_ptr<sequencer::Ledger> ledger_;
    Publications publications_;
    Admissions admissions_;
    std::vector<int64_t> submitted_ns_;
    double feed_cpu_us_ = 0;
};

}  // namespace

std::vector<PipelineStage> node_stages(std::shared_ptr<const PipelineProfile> profile,
                                       const std::vector<uint32_t>& workers, bool recover,
                                       const std::string& scratch) {
    const std::string suffix = recover ? "" : "_recovered";
    std::vector<PipelineStage> stages;
    for (const uint32_t w : workers) {
        if (w == 0) { continue; }  // a sequencer's own thread is its first worker
        // The rate of the newest run at full speed, in transactions a second.
        const auto full_rate = std::make_shared<double>(0);
        const auto full = [=]() -> Result<PipelineSample> {
            MILLRACE_TRY(PipelineSample s, NodeRun(*profile, w, recover).run(scratch, 0));
            *full_rate = static_cast<double>(profile->transactions.size()) / s.wall_us * 1e6;
            return s;
        };
        const auto half = [=]() -> Result<PipelineSample> {
            return NodeRun(*profile, w, recover).run(scratch, *full_rate / 2);
        };
        // Every run is checked; the first of them warms up.
        const auto check = [full]() -> Result<void> {
            const auto s = full();
            return s ? Result<void>{} : std::unexpected(s.error());
        };
        stages.push_back({"node" + suffix, w, profile->transactions.size(), check, full});
        stages.push_back({"node_half" + suffix, w, profile->transactions.size(), {}, half});
    }
    return stages;
}

}  // namespace millrace::node
