// SPDX-License-Identifier: Apache-2.0
// Owns the tests of `millrace bench kernels` from options to exit codes, with kernels that lie.
#include "host/node/benchmark/kernel_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "host/node/commands/commands.hpp"
#include "host/node/json.hpp"
#include "tests/kernels/bench/doubles.hpp"

namespace millrace::node {
namespace {

using kernel_bench::test::Behaviour;
using testing::HasSubstr;

/// What a run printed and with which code it ended.
struct Ended {
    int code;
    std::string out;
    std::string progress;
};

class KernelBenchCommand : public testing::Test {
protected:
    Ended run(std::vector<Behaviour> behaviours) {
        const std::vector<kernel_bench::Family> families = {
            kernel_bench::test::double_family(std::move(behaviours), calls_)};
        using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
        const File out(std::tmpfile(), &std::fclose);
        const File progress(std::tmpfile(), &std::fclose);
        const int code = run_kernel_bench(arguments, families, stop, out.get(), progress.get());
        return {code, text_of(out.get()), text_of(progress.get())};
    }

    std::string refusal() {
        const Ended ended = run({Behaviour::right});
        EXPECT_EQ(ended.code, exit_usage) << ended.out;
        EXPECT_EQ(ended.out, "");
        EXPECT_EQ(calls_.runs.load(), 0u);
        return ended.progress;
    }

    KernelBenchArguments arguments{.quick = true};
    std::atomic<bool> stop = false;

private:
    static std::string text_of(std::FILE* file) {
        std::string text;
        std::rewind(file);
        for (int c; (c = std::fgetc(file)) != EOF;) { text += static_cast<char>(c); }
        return text;
    }

    kernel_bench::test::Calls calls_;
};

TEST_F(KernelBenchCommand, RightAnswersEndWithZero) {
    const Ended ended = run({Behaviour::right, Behaviour::absent});
    EXPECT_EQ(ended.code, exit_ok) << ended.progress;
    EXPECT_THAT(ended.out, HasSubstr("counting"));
    EXPECT_THAT(ended.out, HasSubstr("the double is not here"));
    EXPECT_THAT(ended.progress, HasSubstr("double/counting/one by one/b0"));
}

TEST_F(KernelBenchCommand, AWrongKernelIsAFailedRowAndEndsWithOne) {
    const Ended ended = run({Behaviour::right, Behaviour::wrong_last});
    EXPECT_EQ(ended.code, exit_unexpected);
    EXPECT_THAT(ended.out, HasSubstr("## Failed"));
    EXPECT_THAT(ended.progress, HasSubstr("b1/threads:1/batch:64 FAILED: wrong answer: item 63"));
    EXPECT_THAT(ended.progress, HasSubstr("rows failed"));
}

TEST_F(KernelBenchCommand, AStoppedRunWritesWhatItHas) {
    stop = true;
    const std::string path = testing::TempDir() + "kernel_bench_stopped.json";
    arguments.json = path;
    const Ended ended = run({Behaviour::right});
    EXPECT_EQ(ended.code, exit_interrupted);
    const auto json = read_json_file(path);
    ASSERT_TRUE(json.has_value()) << json.error().message;
    EXPECT_TRUE(find(*find(*json, "context"), "interrupted")->as_bool());
    EXPECT_FALSE(find(*json, "benchmarks")->as_array().empty());
    std::filesystem::remove(path);
}

TEST_F(KernelBenchCommand, AFileThatCannotBeOpenedEndsWithOneBeforeAnythingRuns) {
    arguments.svg = testing::TempDir() + "no/such/folder/kernels.svg";
    const Ended ended = run({Behaviour::right});
    EXPECT_EQ(ended.code, exit_unexpected);
    EXPECT_THAT(ended.progress, HasSubstr("cannot write " + arguments.svg));
    EXPECT_EQ(ended.out, "");
}

TEST_F(KernelBenchCommand, AFullDiskEndsWithOneAndTheOtherFilesAreWritten) {
    if (!std::filesystem::exists("/dev/full")) { GTEST_SKIP() << "no /dev/full here"; }
    const std::string path = testing::TempDir() + "kernel_bench_written.csv";
    arguments.json = "/dev/full";
    arguments.csv = path;
    const Ended ended = run({Behaviour::right});
    EXPECT_EQ(ended.code, exit_unexpected);
    EXPECT_THAT(ended.progress, HasSubstr("cannot write /dev/full"));
    EXPECT_GT(std::filesystem::file_size(path), 100u);
    std::filesystem::remove(path);
}

TEST_F(KernelBenchCommand, TheContextIsRecorded) {
    arguments.context = {"commit=abc", "note=a=b"};
    const Ended ended = run({Behaviour::right});
    EXPECT_THAT(ended.out, testing::AllOf(HasSubstr("- commit: abc"), HasSubstr("- note: a=b")));
}

TEST_F(KernelBenchCommand, BadOptionsAreRefusedBeforeAnythingRuns) {
    arguments.batches = "0";
    EXPECT_THAT(refusal(), HasSubstr("batch size '0'"));
    arguments.batches.reset();
    arguments.sizes = "many";
    EXPECT_THAT(refusal(), HasSubstr("message size 'many'"));
    arguments.sizes.reset();
    arguments.backends = "b0,opencl";
    EXPECT_THAT(refusal(), HasSubstr("unknown back end 'opencl'; known are b0"));
    arguments.backends.reset();
    arguments.threads = "100000";
    EXPECT_THAT(refusal(), HasSubstr("CPU cores"));
    arguments.threads = "1";
    for (const double seconds : {0.0, -1.0, 61.0, std::nan("")}) {
        arguments.seconds = seconds;
        EXPECT_THAT(refusal(), HasSubstr("--seconds"));
    }
    arguments.seconds.reset();
    arguments.families = {"hashes"};
    EXPECT_THAT(refusal(), HasSubstr("unknown kernel family 'hashes'; known are double"));
    arguments.families.clear();
    arguments.context = {"commit"};
    EXPECT_THAT(refusal(), HasSubstr("KEY=VALUE"));
}

}  // namespace
}  // namespace millrace::node
