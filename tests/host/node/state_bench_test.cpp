// SPDX-License-Identifier: Apache-2.0
// Owns the tests of `millrace bench state`: what it measures, what it refuses, and that its checks
// see a store that answers wrongly.
#include "host/node/benchmark/state_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "host/node/benchmark/state_workload.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/json.hpp"
#include "host/node/temporary_directory.hpp"

namespace millrace::node {
namespace {

using state_bench::Batch;
using state_bench::Choice;
using state_bench::Store;
using state_bench::StoreKind;
using state_bench::Workload;
using state_bench::ZipfRanks;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// What a store does wrongly.
enum class Lie : uint8_t {
    none,
    keeps_removed,
    forgets_at_restart,
    rolls_back_nothing,
    swaps_values,
    fails,
    stale_after_check,  ///< wrong only where the keys are more than the check has
};

/// An ordered map with history that may lie.
class MapStore final : public Store {
public:
    explicit MapStore(Lie lie) : lie_(lie) {}

    Result<void> apply(uint64_t, std::span<const storage::qmdb::StateWrite> writes) override {
        if (lie_ == Lie::fails) { return fail(ErrorCode::io, "the disk is gone"); }
        history_.push_back(values_);
        for (const auto& w : writes) {
            if (w.value) {
                Bytes value{w.value->begin(), w.value->end()};
                if (lie_ == Lie::swaps_values && value[0] == 7) { value[0] = 8; }
                if (lie_ == Lie::stale_after_check && values_.size() > 2000 &&
                    values_.contains(w.key)) {
                    continue;
                }
                values_[w.key] = std::move(value);
            } else if (lie_ != Lie::keeps_removed) {
                values_.erase(w.key);
            }
        }
        return {};
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override {
        const auto it = values_.find(key);
        return it == values_.end() ? std::nullopt : std::optional{it->second};
    }
    Result<void> open() override { return {}; }
    Result<void> close() override {
        if (lie_ == Lie::forgets_at_restart) { values_ = history_.back(); }
        return {};
    }
    bool can_roll_back() const override { return true; }
    Result<void> roll_back(uint64_t blocks) override {
        if (lie_ == Lie::rolls_back_nothing) { return {}; }
        values_ = history_[history_.size() - blocks];
        history_.resize(history_.size() - blocks);
        return {};
    }

private:
    Lie lie_;
    std::map<Hash256, Bytes> values_;
    std::vector<std::map<Hash256, Bytes>> history_;
};

StoreKind map_kind(Lie lie) {
    return {"map", false, [lie](const std::string&) -> Result<std::unique_ptr<Store>> {
                return std::make_unique<MapStore>(lie);
            }};
}

struct Ended {
    int code;
    std::string out;
    std::string progress;
};

class StateBench : public testing::Test {
protected:
    void SetUp() override {
        arguments.keys = "3000";
        arguments.batches = "50,100";
        arguments.load_batch = 500;
        arguments.writes = 300;
        arguments.mini_blocks = 2;
        arguments.reads = 200;
        arguments.directory = *directory.create("millrace-test");
    }

    Ended run(const std::vector<StoreKind>& kinds = {map_kind(Lie::none)}) {
        using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
        const File out(std::tmpfile(), &std::fclose);
        const File progress(std::tmpfile(), &std::fclose);
        const int code = run_state_bench(arguments, kinds, stop, out.get(), progress.get());
        return {code, text_of(out.get()), text_of(progress.get())};
    }
    Ended run_map(Lie lie) {
        arguments.stores = "map";
        return run({map_kind(lie)});
    }
    std::string refusal(int code = exit_usage) {
        const Ended ended = run(state_bench::store_kinds());
        EXPECT_EQ(ended.code, code) << ended.out;
        EXPECT_EQ(ended.out, "");
        return ended.progress;
    }
    std::vector<std::string> files_left() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(arguments.directory)) {
            names.push_back(entry.path().filename());
        }
        return names;
    }
    static std::string text_of(std::FILE* file) {
        std::string text;
        std::rewind(file);
        for (int c; (c = std::fgetc(file)) != EOF;) { text += static_cast<char>(c); }
        return text;
    }

    StateBenchArguments arguments;
    TemporaryDirectory directory;
    std::atomic<bool> stop = false;
};

TEST_F(StateBench, MeasuresEveryStoreThatIsThere) {
    arguments.stores = "keccak256,rocksdb,lmdb";
    TemporaryDirectory results;
    arguments.json = *results.create("millrace-test") + "/result.json";
    const Ended ended = run(state_bench::store_kinds());
    ASSERT_EQ(ended.code, exit_ok) << ended.progress << ended.out;
    EXPECT_THAT(files_left(), IsEmpty());
    const auto document = read_json_file(arguments.json);
    ASSERT_TRUE(document.has_value()) << document.error().message;
    EXPECT_FALSE(document->at("context").at("cpu").as_string().empty());
    std::map<std::string, std::set<std::string>> measures;
    const bool in_memory = document->at("context").at("in_memory").as_bool();
    for (const auto& row : document->at("benchmarks").as_array()) {
        const std::string name(row.at("name").as_string());
        const std::string store(row.at("store").as_string());
        const std::string measure(row.at("measure").as_string());
        if (row.at("state").as_string() == "skipped") {
            // A database without its library, or what no engine has yet.
            EXPECT_FALSE(row.at("reason").as_string().empty()) << name;
            EXPECT_TRUE(measure == "check" ? store != "keccak256"
                                           : measure == "two-shards-on-two-cores")
                << name;
            continue;
        }
        ASSERT_EQ(row.at("state").as_string(), "measured") << name;
        // Only where there is a disk.
        EXPECT_FALSE(in_memory && measure == "restart-cold");
        if (measure != "restart-cold") { measures[store].insert(measure); }
        if (measure != "update") { continue; }
        EXPECT_EQ(row.at("items").as_int64(), 300) << name;
        EXPECT_EQ(row.at("iterations").as_int64() * row.at("batch").as_int64(), 300) << name;
        EXPECT_GT(row.at("real_time").as_double(), 0) << name;
        EXPECT_GT(row.at("cpu_time").as_double(), 0) << name;
        EXPECT_GT(row.at("items_per_second").as_double(), 0) << name;
        EXPECT_EQ(row.as_object().contains("p99_ms"), false) << "of so few batches";
        // 32 bytes of key and 32 to 100 of value.
        EXPECT_GT(row.at("payload_bytes").as_double(), 300 * 64) << name;
        EXPECT_LT(row.at("payload_bytes").as_double(), 300 * 132) << name;
    }
    EXPECT_THAT(measures["keccak256"],
                testing::ElementsAre("check", "churn", "footprint", "get", "get-absent", "load",
                                     "mini-block", "proof-random", "proof-recent", "proof-single",
                                     "restart", "rollback", "update", "update-skewed"));
    for (const char* const peer : {"rocksdb", "lmdb"}) {
        if (!measures.contains(peer)) { continue; }
        EXPECT_THAT(measures[peer],
                    testing::ElementsAre("check", "churn", "footprint", "get", "get-absent", "load",
                                         "mini-block", "restart", "update", "update-skewed"));
        EXPECT_THAT(ended.out, HasSubstr(std::string{"keccak256 beside "} + peer));
    }
    EXPECT_THAT(ended.out, HasSubstr("at most 1.00 us"));
    EXPECT_THAT(ended.out, HasSubstr("one key, worn log"));
}

TEST_F(StateBench, ARightStorePassesAndEveryWrongOneFailsBeforeItIsTimed) {
    EXPECT_EQ(run_map(Lie::none).code, exit_ok);
    for (const auto& [lie, reason] :
         {std::pair{Lie::keeps_removed, "a wrong value after updates, creates and deletes"},
          std::pair{Lie::forgets_at_restart, "a wrong value after a restart"},
          std::pair{Lie::rolls_back_nothing, "a wrong value after blocks were taken back"},
          std::pair{Lie::swaps_values, "a wrong value after the keys were created"},
          std::pair{Lie::fails, "the disk is gone"}}) {
        SCOPED_TRACE(reason);
        const Ended ended = run_map(lie);
        EXPECT_EQ(ended.code, exit_unexpected);
        EXPECT_THAT(ended.progress, HasSubstr(reason));
        EXPECT_THAT(ended.out, HasSubstr("check/batch:200 failed"));
        EXPECT_THAT(ended.out, testing::Not(HasSubstr("CPU us")));
        EXPECT_THAT(files_left(), IsEmpty());
    }
}

TEST_F(StateBench, AStoreThatIsWrongOnlyWhileItIsTimedFailsToo) {
    const Ended ended = run_map(Lie::stale_after_check);
    EXPECT_EQ(ended.code, exit_unexpected);
    EXPECT_THAT(ended.progress, HasSubstr("update/batch:50 FAILED: a wrong value after update"));
}

TEST_F(StateBench, WhatIsNotHereIsSkippedWithTheReason) {
    arguments.stores = "map,nowhere";
    const Ended ended =
        run({map_kind(Lie::none),
             {"nowhere", false, [](const std::string&) -> Result<std::unique_ptr<Store>> {
                  return fail(ErrorCode::unavailable, "it was never built");
              }}});
    EXPECT_EQ(ended.code, exit_ok);
    EXPECT_THAT(ended.out, HasSubstr("skipped: it was never built"));
}

TEST_F(StateBench, RefusesWhatDoesNotHold) {
    arguments.stores = "keccak256,oracle";
    EXPECT_THAT(refusal(), HasSubstr("oracle"));
    arguments.stores = "keccak256";
    arguments.measures = "update,everything";
    EXPECT_THAT(refusal(), HasSubstr("everything"));
    arguments.measures = "all";
    for (const char* const bad : {"", "999", "2000000000", "3000,", "3k", "-3000"}) {
        arguments.keys = bad;
        EXPECT_THAT(refusal(), StartsWith("millrace: --keys '" + std::string{bad} + "' is not"));
    }
    arguments.keys = "3000";
    for (const char* const bad : {"0", "1000001", "a", "10,,20"}) {
        arguments.batches = bad;
        EXPECT_THAT(refusal(), StartsWith("millrace: --batch '" + std::string{bad} + "' is not"));
    }
    arguments.batches = "100,1501";
    EXPECT_THAT(refusal(), HasSubstr("--batch 1501 is more than half of --keys 3000"));
    arguments.batches = "100";
    const auto refused = [&](uint64_t& value, uint64_t bad, const char* option) {
        const uint64_t good = std::exchange(value, bad);
        EXPECT_THAT(refusal(), StartsWith(std::string{"millrace: "} + option + " is not a number"));
        value = good;
    };
    refused(arguments.load_batch, 0, "--load-batch");
    refused(arguments.load_batch, 1'000'001, "--load-batch");
    refused(arguments.writes, 0, "--writes");
    refused(arguments.writes, 10'000'000'001, "--writes");
    refused(arguments.mini_blocks, 1'000'001, "--mini-blocks");
    refused(arguments.reads, 0, "--reads");
    refused(arguments.reads, 100'000'001, "--reads");
}

TEST_F(StateBench, RefusesPlacesThatWillNotDo) {
    arguments.stores = "keccak256";
    arguments.directory = "no/such/folder";
    EXPECT_THAT(refusal(exit_unexpected), HasSubstr("'no/such/folder' is not a directory"));
    arguments.directory = "/proc";
    arguments.in_memory = true;
    EXPECT_THAT(refusal(exit_unexpected), HasSubstr("/proc is not a file system in memory"));
    arguments.in_memory = false;
    arguments.directory = directory.path();
    arguments.keys = "1000000000";
    arguments.writes = 10'000'000'000;  // more than 7 TB
    EXPECT_THAT(refusal(exit_unexpected), HasSubstr("MiB of room, but this run may need"));
    arguments.keys = "3000";
    arguments.writes = 300;
    arguments.json = "no/such/folder/result.json";
    EXPECT_THAT(refusal(exit_unexpected), HasSubstr("cannot write no/such/folder/result.json"));
}

TEST_F(StateBench, MeasuresOnlyWhatIsAskedFor) {
    arguments.measures = "churn,restart";
    const Ended ended = run_map(Lie::none);
    ASSERT_EQ(ended.code, exit_ok) << ended.progress << ended.out;
    EXPECT_THAT(ended.out, HasSubstr("| updates, creates, deletes: CPU us a write | 100 |"));
    EXPECT_THAT(ended.out, HasSubstr("| start: s |"));
    EXPECT_THAT(ended.out, testing::Not(HasSubstr("| updates: ")));
    EXPECT_THAT(ended.out, testing::Not(HasSubstr("a read")));
}

TEST_F(StateBench, EndsEarlyWhenItIsStopped) {
    stop = true;
    const Ended ended = run_map(Lie::none);
    EXPECT_EQ(ended.code, exit_interrupted);
    EXPECT_THAT(ended.progress, HasSubstr("interrupted"));
    EXPECT_THAT(files_left(), IsEmpty());
}

TEST(StateWorkload, BatchesAreSortedDistinctAndSayWhatTheKeysAre) {
    Workload work{2000, 7};
    std::map<Hash256, Bytes> model;
    uint64_t live = 0;
    const auto take = [&](const Batch& batch) {
        uint64_t payload = 0;
        for (size_t i = 0; i < batch.writes.size(); ++i) {
            const auto& w = batch.writes[i];
            if (i != 0) { EXPECT_LT(batch.writes[i - 1].key, w.key); }
            payload += 32 + (w.value ? w.value->size() : 0);
            if (const auto old = model.find(w.key); old != model.end()) {
                live -= 32 + old->second.size();
                model.erase(old);
            }
            if (!w.value) { continue; }
            EXPECT_GE(w.value->size(), 32u);
            EXPECT_LE(w.value->size(), 100u);
            live += 32 + w.value->size();
            model[w.key] = {w.value->begin(), w.value->end()};
        }
        EXPECT_EQ(batch.payload_bytes(), payload);
        EXPECT_EQ(work.live_bytes(), live);
    };
    for (int i = 0; i < 20; ++i) { take(work.load(100)); }
    EXPECT_EQ(model.size(), 2000u);
    EXPECT_EQ(work.load(100).writes.size(), 0u);
    uint64_t removed = 0;
    for (int i = 0; i < 20; ++i) {
        Batch batch = work.update(500, Choice::uniform);
        EXPECT_EQ(batch.writes.size(), 500u);
        take(batch);
        batch = work.update(100, Choice::skewed);
        EXPECT_EQ(batch.writes.size(), 100u);
        take(batch);
        batch = work.churn(400);
        for (const auto& w : batch.writes) { removed += w.value ? 0 : 1; }
        take(batch);
    }
    EXPECT_GT(removed, 1000u);
    for (uint64_t i = 0; i < 2000; ++i) {
        const auto it = model.find(Workload::key(i));
        EXPECT_EQ(work.expected(i), it == model.end() ? std::nullopt : std::optional{it->second});
    }
}

TEST(StateWorkload, ZipfRanksComeAsOftenAsTheLawSays) {
    constexpr uint64_t count = 5000;
    constexpr uint64_t draws = 200'000;
    double sum = 0;
    for (uint64_t i = 1; i <= count; ++i) { sum += std::pow(double(i), -0.99); }
    const ZipfRanks zipf{count};
    std::vector<double> seen(count);
    for (uint64_t i = 0; i < draws; ++i) {
        const uint64_t rank = zipf.rank((static_cast<double>(i) + 0.5) / draws);
        ASSERT_LT(rank, count);
        seen[rank] += 1.0 / draws;
    }
    EXPECT_NEAR(seen[0], 1 / sum, 0.001);
    EXPECT_NEAR(seen[1], std::pow(2, -0.99) / sum, 0.001);
    double head = 0;
    double expected = 0;
    for (uint64_t i = 0; i < count / 10; ++i) {
        head += seen[i];
        expected += std::pow(double(i + 1), -0.99) / sum;
    }
    EXPECT_NEAR(head, expected, 0.02) << "of the first tenth";
    EXPECT_EQ(ZipfRanks{1}.rank(0.999), 0u);
    EXPECT_LE(ZipfRanks{2}.rank(0.999), 1u);
}

}  // namespace
}  // namespace millrace::node
