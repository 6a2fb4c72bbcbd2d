// SPDX-License-Identifier: Apache-2.0
// Owns the tests of `millrace bench pipeline`: what it measures, what it refuses, and that its
// checks see a wrong result.
#include "host/node/benchmark/pipeline_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>

#include "host/node/benchmark/pipeline_execution.hpp"
#include "host/node/benchmark/pipeline_stages.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/json.hpp"
#include "host/node/temporary_directory.hpp"

namespace millrace::node {
namespace {

using testing::HasSubstr;

struct Ended {
    int code;
    std::string out;
    std::string progress;
};

class PipelineBench : public testing::Test {
protected:
    void SetUp() override {
        arguments.profiles = "transfer,erc20,hotspot";
        arguments.transactions = 200;
        arguments.repeat = 1;
        arguments.artifacts = "no/such/folder";
    }

    Ended run() {
        using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
        const File out(std::tmpfile(), &std::fclose);
        const File progress(std::tmpfile(), &std::fclose);
        const int code = run_pipeline_bench(arguments, stop, out.get(), progress.get());
        return {code, text_of(out.get()), text_of(progress.get())};
    }
    std::string refusal() {
        const Ended ended = run();
        EXPECT_EQ(ended.code, exit_usage) << ended.out;
        EXPECT_EQ(ended.out, "");
        return ended.progress;
    }
    static std::string text_of(std::FILE* file) {
        std::string text;
        std::rewind(file);
        for (int c; (c = std::fgetc(file)) != EOF;) { text += static_cast<char>(c); }
        return text;
    }

    PipelineBenchArguments arguments;
    std::atomic<bool> stop = false;
};

TEST_F(PipelineBench, MeasuresEveryStageOfEveryProfile) {
    TemporaryDirectory directory;
    arguments.workers = "0,2";
    arguments.json = *directory.create("millrace-test") + "/result.json";
    const Ended ended = run();
    ASSERT_EQ(ended.code, exit_ok) << ended.progress << ended.out;
    const auto document = read_json_file(arguments.json);
    ASSERT_TRUE(document.has_value()) << document.error().message;
    EXPECT_FALSE(document->at("context").at("cpu").as_string().empty());
    std::map<std::string, size_t> rows;
    for (const auto& row : document->at("benchmarks").as_array()) {
        const std::string name(row.at("name").as_string());
        ASSERT_EQ(row.at("state").as_string(), "measured") << name;
        EXPECT_EQ(row.at("transactions").as_int64(), 200) << name;
        EXPECT_EQ(row.at("iterations").as_int64(), 1) << name;
        EXPECT_GT(row.at("real_time").as_double(), 0) << name;
        EXPECT_GT(row.at("cpu_time").as_double(), 0) << name;
        EXPECT_GT(row.at("transactions_per_second").as_double(), 0) << name;
        ++rows[std::string(row.at("profile").as_string())];
    }
    // Eleven stages alone, execution with two numbers of workers, and four ways to feed a sequencer
    // with two workers.
    EXPECT_EQ(rows,
              (std::map<std::string, size_t>{{"transfer", 17}, {"erc20", 17}, {"hotspot", 17}}));
    EXPECT_THAT(ended.out, HasSubstr("## hotspot"));
    EXPECT_THAT(ended.out, HasSubstr("| node_half_recovered | 2 |"));
}

TEST_F(PipelineBench, SkipsWhatHasNoDataOnlyWhenAllWasAskedFor) {
    arguments.profiles = "all";
    arguments.stages = "execute";
    arguments.workers = "0";
    const Ended ended = run();
    EXPECT_EQ(ended.code, exit_ok) << ended.progress;
    EXPECT_THAT(ended.out, HasSubstr("skipped: swaps need the compiled @uniswap/v2-core"));
    EXPECT_THAT(ended.out, HasSubstr("--blocks"));
    arguments.profiles = "swap";
    EXPECT_THAT(refusal(), HasSubstr("no/such/folder"));
    arguments.profiles = "mainnet";
    EXPECT_THAT(refusal(), HasSubstr("--blocks"));
}

TEST_F(PipelineBench, RefusesOptionsThatDoNotHold) {
    const PipelineBenchArguments good = arguments;
    const auto refused = [&](auto change) {
        arguments = good;
        change(arguments);
        return refusal();
    };
    EXPECT_THAT(refused([](auto& a) { a.profiles = "transfers"; }), HasSubstr("transfers"));
    EXPECT_THAT(refused([](auto& a) { a.stages = "exec"; }), HasSubstr("exec"));
    EXPECT_THAT(refused([](auto& a) { a.recover = "maybe"; }), HasSubstr("maybe"));
    for (const char* workers : {"", "two", "1,", "-1", "65", "1 2"}) {
        EXPECT_THAT(refused([&](auto& a) { a.workers = workers; }), HasSubstr("--workers"))
            << workers;
    }
    for (const uint64_t n : {uint64_t{0}, uint64_t{1}, pipeline_transactions_max + 1}) {
        EXPECT_THAT(refused([&](auto& a) { a.transactions = n; }), HasSubstr("--transactions"));
    }
    for (const uint64_t n : {uint64_t{0}, pipeline_repeat_max + 1}) {
        EXPECT_THAT(refused([&](auto& a) { a.repeat = n; }), HasSubstr("--repeat"));
    }
}

TEST_F(PipelineBench, SaysBeforeTheRunWhenAFileCannotBeWritten) {
    arguments.json = "no/such/folder/result.json";
    const Ended ended = run();
    EXPECT_EQ(ended.code, exit_unexpected);
    EXPECT_THAT(ended.progress, HasSubstr("no/such/folder/result.json"));
    EXPECT_EQ(ended.out, "");
}

TEST_F(PipelineBench, WritesWhatItHasWhenInterrupted) {
    stop = true;
    const Ended ended = run();
    EXPECT_EQ(ended.code, exit_interrupted);
    EXPECT_THAT(ended.out, HasSubstr("Interrupted"));
}

class PipelineProfiles : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, PipelineProfiles, testing::Values("transfer", "erc20", "hotspot"),
                         [](const auto& p) { return p.param; });

TEST_P(PipelineProfiles, AreTheSameEveryTime) {
    const auto a = *make_pipeline_profile(GetParam(), 50, "");
    const auto b = *make_pipeline_profile(GetParam(), 50, "");
    EXPECT_EQ(a.genesis.hash, b.genesis.hash);
    ASSERT_EQ(a.transactions.size(), 50u);
    ASSERT_EQ(b.transactions.size(), 50u);
    for (size_t i = 0; i < 50; ++i) { EXPECT_EQ(a.transactions[i]->hash, b.transactions[i]->hash); }
}

TEST_P(PipelineProfiles, CheckFailsOnAnyDifference) {
    PipelineProfile p = *make_pipeline_profile(GetParam(), 50, "");
    const PipelineBlock block = pipeline_block_of(p);
    PipelineExecution e = execute_block(block, pipeline_precompiles(), 2);
    const auto good = *state_after(block, e);
    EXPECT_TRUE(check_profile(p, e.closed.transactions, *good->snapshot()).has_value());
    EXPECT_TRUE(check_execution(block, pipeline_precompiles(), e).has_value());

    // One ether, one slot, one transaction less.
    const auto changed = [&](auto change) {
        PipelineExecution other = e;
        auto m = std::make_shared<sequencer::MiniBlock>(*other.mini_blocks.back().mini_block);
        change(m->post_values);
        other.mini_blocks.back().mini_block = m;
        const auto after = *state_after(block, other);
        EXPECT_FALSE(check_execution(block, pipeline_precompiles(), other).has_value());
        return check_profile(p, e.closed.transactions, *after->snapshot()).has_value();
    };
    const Address sender = p.transactions[7]->sender;
    EXPECT_FALSE(changed([&](storage::StateDelta& d) {
        for (auto& a : d.accounts) {
            if (a.address == sender) { a.balance += U256{1}; }
        }
    }));
    if (GetParam() != "transfer") {
        EXPECT_FALSE(changed([](storage::StateDelta& d) { d.slots.at(3).value += U256{1}; }));
    }
    const std::span<const sequencer::ExecutedPtr> executed = e.closed.transactions;
    EXPECT_FALSE(check_profile(p, executed.first(49), *good->snapshot()).has_value());
    std::swap(e.closed.transactions[3], e.closed.transactions[4]);
    EXPECT_FALSE(check_execution(block, pipeline_precompiles(), e).has_value());
}

}  // namespace
}  // namespace millrace::node
