// SPDX-License-Identifier: Apache-2.0
// Owns the measures of one store, their order and their checks.
#include "host/node/benchmark/state_run.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>
#include <thread>

#include "host/node/benchmark/disk_counters.hpp"
#include "host/node/benchmark/state_workload.hpp"

namespace millrace::node::state_bench {
namespace {

constexpr uint64_t checked_keys = 20'000;
constexpr uint64_t proof_keys = 10'000;

double seconds(clockid_t clock) noexcept {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// What the process and its disk did since it was made.
class Meter {
public:
    explicit Meter(const std::string& path)
        : path_(path),
          wall_(seconds(CLOCK_MONOTONIC)),
          cpu_(seconds(CLOCK_PROCESS_CPUTIME_ID)),
          process_(process_written_bytes()),
          device_(device_written_bytes(path)) {}

    double wall_s() const noexcept { return seconds(CLOCK_MONOTONIC) - wall_; }
    double cpu_s() const noexcept { return seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_; }
    void add_written(Row& row, uint64_t payload_bytes) const {
        const auto payload = static_cast<double>(std::max<uint64_t>(payload_bytes, 1));
        row.figures.emplace_back("payload_bytes", payload);
        const auto add = [&](const std::string& by, std::optional<uint64_t> before,
                             std::optional<uint64_t> after) {
            if (!before || !after) { return; }
            const auto bytes = static_cast<double>(*after - *before);
            row.figures.emplace_back("written_bytes_" + by, bytes);
            row.figures.emplace_back("write_amplification_" + by, bytes / payload);
        };
        add("process", process_, process_written_bytes());
        add("device", device_, device_written_bytes(path_));
    }

private:
    const std::string& path_;
    const double wall_;
    const double cpu_;
    const std::optional<uint64_t> process_;
    const std::optional<uint64_t> device_;
};

/// The measures of one store in order. A measure that fails throws nothing: it returns the error,
/// and the row that it worked on says so.
class StoreRun {
public:
    StoreRun(const StoreKind& kind, const RunOptions& options)
        : kind_(kind), options_(options), work_(options.keys, options.seed) {}

    std::vector<Row> run() {
        if (auto r = check(); !r) {
            if (r.error().code == ErrorCode::unavailable) {
                rows_.back().state = Row::State::skipped;
                rows_.back().reason = r.error().message;
            } else {
                set_failed(r.error());
            }
        } else if (auto m = measure_all(); !m) {
            set_failed(m.error());
        }
        store_.reset();
        return std::move(rows_);
    }

private:
    bool stopped() const noexcept {
        return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
    }
    /// Whether a group was asked for and there is time for it.
    bool wants(std::string_view group) const {
        return !stopped() && std::ranges::find(options_.groups, group) != options_.groups.end();
    }
    void show(uint64_t done, uint64_t total) const {
        if (options_.progress) { options_.progress(rows_.back().measure, done, total); }
    }
    Row& begin(std::string_view measure, uint64_t batch) {
        Row& row = rows_.emplace_back();
        row.store = kind_.name;
        row.keys = options_.keys;
        row.measure = measure;
        row.batch = batch;
        row.reason = "interrupted";
        show(0, 1);
        return row;
    }
    static void end(Row& row, std::vector<double> samples_ms) {
        row.sample_ms = kernel_bench::summarize(std::move(samples_ms));
        row.state = Row::State::measured;
        row.reason.clear();
    }
    void set_failed(const Error& e) {
        rows_.back().state = Row::State::failed;
        rows_.back().reason = e.message;
    }
    static Result<void> wrong(const std::string& when) {
        return fail(ErrorCode::internal, "a wrong value " + when);
    }

    Result<void> open(const std::string& name) {
        store_.reset();
        const std::string at = options_.directory + "/" + name;
        std::error_code ec;
        if (!std::filesystem::create_directory(at, ec)) {
            return fail(ErrorCode::io, "cannot make " + at + ": " + ec.message());
        }
        directory_ = at;
        MILLRACE_TRY(store_, kind_.open(at));
        return {};
    }
    void close() {
        store_.reset();
        std::error_code ec;
        std::filesystem::remove_all(directory_, ec);
    }

    Result<void> compare(const Workload& model, uint64_t index, const std::string& when) {
        MILLRACE_TRY(const auto value, store_->get(Workload::key(index)));
        const auto expected = index < model.key_count() ? model.expected(index) : std::nullopt;
        return value == expected ? Result<void>{} : wrong(when);
    }
    Result<void> compare_all(const Workload& model, const std::string& when) {
        for (uint64_t i = 0; i < model.key_count() + 100; ++i) {
            MILLRACE_CHECK(compare(model, i, when));
        }
        return {};
    }
    Result<void> compare_some(Workload& model, const std::string& when) {
        for (uint64_t i = 0; i < std::min(checked_keys, model.key_count()); ++i) {
            MILLRACE_CHECK(compare(model, model.next_random() % model.key_count(), when));
        }
        return {};
    }

    /// The situations of the measures with few keys, all of which are looked at.
    Result<void> check() {
        constexpr uint64_t keys = 2000;
        constexpr uint64_t batch = 200;
        begin(measure::check, batch);
        MILLRACE_CHECK(open("check"));
        Workload model{keys, options_.seed};
        uint64_t height = 0;
        const auto write = [&](const Batch& b) { return store_->apply(++height, b.writes); };
        for (uint64_t i = 0; i < keys / batch; ++i) { MILLRACE_CHECK(write(model.load(batch))); }
        MILLRACE_CHECK(compare_all(model, "after the keys were created"));
        for (int i = 0; i < 5; ++i) {
            MILLRACE_CHECK(write(model.update(batch, Choice::uniform)));
            MILLRACE_CHECK(write(model.update(batch, Choice::skewed)));
            MILLRACE_CHECK(write(model.churn(batch)));
        }
        MILLRACE_CHECK(compare_all(model, "after updates, creates and deletes"));
        MILLRACE_CHECK(store_->close());
        MILLRACE_CHECK(store_->open());
        MILLRACE_CHECK(compare_all(model, "after a restart"));
        std::set<Hash256> some;
        for (uint64_t i = 0; i < batch; ++i) { some.insert(Workload::key(i * 10)); }
        MILLRACE_CHECK(store_->proof_bytes(std::vector<Hash256>{some.begin(), some.end()}));
        MILLRACE_CHECK(store_->proof_bytes(std::vector<Hash256>{Workload::key(keys)}));
        if (store_->can_roll_back()) {
            Workload later = model;
            for (int i = 0; i < 3; ++i) { MILLRACE_CHECK(write(later.churn(batch))); }
            MILLRACE_CHECK(compare_all(later, "before blocks were taken back"));
            MILLRACE_CHECK(store_->roll_back(3));
            MILLRACE_CHECK(compare_all(model, "after blocks were taken back"));
        }
        close();
        end(rows_.back(), {});
        return {};
    }

    Result<void> measure_all() {
        if (stopped()) { return {}; }
        begin(measure::load, options_.load_batch);
        MILLRACE_CHECK(open("run"));
        const uint64_t loads = (options_.keys + options_.load_batch - 1) / options_.load_batch;
        MILLRACE_CHECK(write(loads, [&] { return work_.load(options_.load_batch); }));
        for (const uint64_t batch : options_.batches) {
            const uint64_t rounds = std::max<uint64_t>(options_.writes / batch, 1);
            const auto updates = [&](Choice choice) {
                return write(rounds, [&] { return work_.update(batch, choice); });
            };
            if (wants("update")) {
                begin(measure::update, batch);
                MILLRACE_CHECK(updates(Choice::uniform));
            }
            if (wants("skewed")) {
                begin(measure::skewed, batch);
                MILLRACE_CHECK(updates(Choice::skewed));
            }
            if (wants("churn")) {
                begin(measure::churn, batch);
                MILLRACE_CHECK(write(rounds, [&] { return work_.churn(batch); }));
            }
        }
        for (const auto& [group, step] :
             {std::pair{"mini-block", &StoreRun::mini_blocks}, std::pair{"read", &StoreRun::reads},
              std::pair{"proof", &StoreRun::proofs}, std::pair{"footprint", &StoreRun::footprint},
              std::pair{"restart", &StoreRun::restarts},
              std::pair{"rollback", &StoreRun::roll_back}}) {
            if (wants(group)) { MILLRACE_CHECK((this->*step)()); }
        }
        close();
        return {};
    }

    /// Times `rounds` batches, for the row that was begun. What the store's own threads do while
    /// the next batch is made counts as its CPU time too.
    template <class Next>
    Result<void> write(uint64_t rounds, Next&& next) {
        Row& row = rows_.back();
        std::vector<double> samples_ms;
        std::vector<double> samples_cpu_us;  // of one write, by batch
        uint64_t payload = 0;
        double own_cpu_s = 0;
        const Meter meter{directory_};
        for (uint64_t round = 0; round < rounds && !stopped(); ++round) {
            const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
            const Batch batch = next();
            payload += batch.payload_bytes();
            own_cpu_s += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
            const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            MILLRACE_CHECK(write_one(batch, row, samples_ms));
            samples_cpu_us.push_back((seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 /
                                     static_cast<double>(std::max<size_t>(batch.writes.size(), 1)));
            show(round + 1, rounds);
        }
        row.cpu_s = meter.cpu_s() - own_cpu_s;
        // Less is said of the machine's other work by these than by the mean; but a store that
        // works beside the batches is seen in full by the mean alone.
        const kernel_bench::Summary cpu = kernel_bench::summarize(std::move(samples_cpu_us));
        row.figures = {{"batch_cpu_us_per_item_median", cpu.median},
                       {"batch_cpu_us_per_item_min", cpu.min}};
        meter.add_written(row, payload);
        if (stopped()) { return {}; }
        MILLRACE_CHECK(compare_some(work_, "after " + row.measure));
        end(row, std::move(samples_ms));
        return {};
    }
    Result<void> write_one(const Batch& batch, Row& row, std::vector<double>& samples_ms) {
        const double start = seconds(CLOCK_MONOTONIC);
        MILLRACE_CHECK(store_->apply(++height_, batch.writes));
        const double took = seconds(CLOCK_MONOTONIC) - start;
        row.wall_s += took;
        row.items += batch.writes.size();
        samples_ms.push_back(took * 1e3);
        return {};
    }

    Result<void> mini_blocks() {
        if (options_.mini_blocks == 0) { return {}; }
        begin(measure::mini_block, mini_block_writes);
        constexpr std::chrono::milliseconds period{mini_block_period_ms};
        auto tick = std::chrono::steady_clock::now();
        return write(options_.mini_blocks, [&] {
            Batch batch =
                work_.update(std::min(mini_block_writes, options_.keys / 2 + 1), Choice::uniform);
            // Ticks that a slow batch has missed are left out.
            const auto now = std::chrono::steady_clock::now();
            while (tick <= now) { tick += period; }
            std::this_thread::sleep_until(tick);
            return batch;
        });
    }

    Result<void> reads() {
        MILLRACE_CHECK(read(measure::get, 0));
        if (stopped()) { return {}; }
        return read(measure::get_absent, options_.keys);
    }
    /// Reads keys at random of those from number `first` on.
    Result<void> read(std::string_view measure, uint64_t first) {
        Row& row = begin(measure, 0);
        std::vector<uint64_t> indices(options_.reads);
        for (uint64_t& i : indices) { i = first + work_.next_random() % options_.keys; }
        std::vector<std::optional<Bytes>> values;
        std::vector<double> samples_ms;
        values.reserve(indices.size());
        samples_ms.reserve(indices.size());
        const Meter meter{directory_};
        for (const uint64_t i : indices) {
            const Hash256 key = Workload::key(i);
            const double start = seconds(CLOCK_MONOTONIC);
            auto value = store_->get(key);
            const double took = seconds(CLOCK_MONOTONIC) - start;
            if (!value) { return std::unexpected(value.error()); }
            row.wall_s += took;
            samples_ms.push_back(took * 1e3);
            values.push_back(std::move(*value));
        }
        row.cpu_s = meter.cpu_s();
        row.items = indices.size();
        for (size_t i = 0; i < indices.size(); ++i) {
            const auto expected =
                indices[i] < options_.keys ? work_.expected(indices[i]) : std::nullopt;
            if (values[i] != expected) { return wrong("in the measure of reads"); }
        }
        end(row, std::move(samples_ms));
        return {};
    }

    Result<void> proofs() {
        const auto random = [&] { return Workload::key(work_.next_random() % options_.keys); };
        MILLRACE_CHECK(prove(measure::proof, {random()}));
        std::set<Hash256> many;
        const uint64_t count = std::min(proof_keys, options_.keys / 2 + 1);
        while (many.size() < count) { many.insert(random()); }
        MILLRACE_CHECK(prove(measure::proof_random, {many.begin(), many.end()}));
        const Batch batch = work_.update(count, Choice::uniform);
        MILLRACE_CHECK(store_->apply(++height_, batch.writes));
        std::vector<Hash256> recent;
        for (const auto& w : batch.writes) { recent.push_back(w.key); }
        return prove(measure::proof_recent, recent);
    }
    Result<void> prove(std::string_view measure, const std::vector<Hash256>& keys) {
        Row& row = begin(measure, keys.size());
        const Meter meter{directory_};
        MILLRACE_TRY(const auto bytes, store_->proof_bytes(keys));
        if (!bytes) {
            rows_.pop_back();
            return {};
        }
        row.wall_s = meter.wall_s();
        row.cpu_s = meter.cpu_s();
        row.items = keys.size();
        row.figures = {
            {"bytes", static_cast<double>(*bytes)},
            {"bytes_per_key", static_cast<double>(*bytes) / static_cast<double>(keys.size())}};
        end(row, {row.wall_s * 1e3});
        return {};
    }

    Result<void> footprint() {
        Row& row = begin(measure::footprint, 0);
        const auto keys = static_cast<double>(options_.keys);
        const auto live = static_cast<double>(std::max<uint64_t>(work_.live_bytes(), 1));
        const auto disk = static_cast<double>(directory_bytes(directory_));
        row.figures = store_->figures();
        row.figures.emplace_back("disk_bytes", disk);
        row.figures.emplace_back("live_bytes", live);
        row.figures.emplace_back("space_amplification", disk / live);
        if (const auto memory = store_->memory_bytes()) {
            row.figures.emplace_back("memory_bytes_per_key", static_cast<double>(*memory) / keys);
        }
        end(row, {});
        return {};
    }

    Result<void> restarts() {
        MILLRACE_CHECK(restart(measure::restart));
        if (stopped() || is_in_memory(directory_)) { return {}; }
        return restart(measure::restart_cold);
    }
    Result<void> restart(std::string_view which) {
        Row& row = begin(which, 0);
        MILLRACE_CHECK(store_->close());
        if (which == measure::restart_cold) { forget_cached(directory_); }
        const Meter meter{directory_};
        MILLRACE_CHECK(store_->open());
        row.wall_s = meter.wall_s();
        row.cpu_s = meter.cpu_s();
        row.items = 1;
        MILLRACE_CHECK(compare_some(work_, "after the restart"));
        end(row, {row.wall_s * 1e3});
        return {};
    }

    Result<void> roll_back() {
        if (!store_->can_roll_back()) { return {}; }
        const uint64_t batch = options_.batches.front();
        begin(measure::rollback, batch);
        Workload later = work_;
        uint64_t writes = 0;
        for (uint64_t i = 0; i < rollback_batches && !stopped(); ++i) {
            const Batch b = later.update(batch, Choice::uniform);
            MILLRACE_CHECK(store_->apply(++height_, b.writes));
            writes += b.writes.size();
            show(i + 1, rollback_batches + 1);
        }
        if (stopped()) { return {}; }
        Row& row = rows_.back();
        const Meter meter{directory_};
        MILLRACE_CHECK(store_->roll_back(rollback_batches));
        row.wall_s = meter.wall_s();
        row.cpu_s = meter.cpu_s();
        row.items = writes;
        height_ -= rollback_batches;
        MILLRACE_CHECK(compare_some(work_, "after batches were taken back"));
        end(row, {row.wall_s * 1e3});
        return {};
    }

    const StoreKind& kind_;
    const RunOptions& options_;
    Workload work_;
    std::string directory_;
    std::unique_ptr<Store> store_;
    std::vector<Row> rows_;
    uint64_t height_ = 0;
};

}  // namespace

std::optional<double> Row::figure(std::string_view wanted) const {
    for (const auto& [name, value] : figures) {
        if (name == wanted) { return value; }
    }
    return std::nullopt;
}

double Row::cpu_us_per_item() const {
    return items == 0 ? 0 : cpu_s * 1e6 / static_cast<double>(items);
}

double Row::items_per_second() const {
    return wall_s > 0 ? static_cast<double>(items) / wall_s : 0;
}

std::string Row::name() const {
    std::string out = "state/" + store + "/keys:" + std::to_string(keys) + "/" + measure;
    if (batch != 0) { out += "/batch:" + std::to_string(batch); }
    return out;
}

std::vector<Row> run_store(const StoreKind& kind, const RunOptions& options) {
    return StoreRun{kind, options}.run();
}

const std::vector<std::string>& measure_groups() {
    static const std::vector<std::string> groups{"update",     "skewed",  "churn",
                                                 "mini-block", "read",    "proof",
                                                 "footprint",  "restart", "rollback"};
    return groups;
}

uint64_t disk_bytes_needed(const RunOptions& options) noexcept {
    // Measured: at most 300 bytes a key after the load, for each of the stores, and 220 a write;
    // RocksDB has twice its size for a while when it compacts.
    uint64_t writes = options.mini_blocks * mini_block_writes;
    for (size_t i = 0; i < options.batches.size(); ++i) { writes += 3 * options.writes; }
    writes += rollback_batches * options.batches.front();
    return (uint64_t{512} << 20) + options.keys * 600 + writes * 250;
}

}  // namespace millrace::node::state_bench
