// SPDX-License-Identifier: Apache-2.0
// Owns the program that runs random schedules on an executor with a fault built in: it succeeds
// when the comparison with the serial execution, or a check of the executor's own, catches the
// fault.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "host/sequencer/executor/commit_mutant.hpp"
#include "tests/host/sequencer/parallel_run.hpp"

int main() {
    // An assertion of the executor ends the program this way; without a fault none does.
    std::signal(SIGABRT, [](int) { std::_Exit(0); });
    using namespace millrace::sequencer;
    using namespace millrace::sequencer::test;
    const auto kind = [](LoadKind k) { return 1u << static_cast<uint32_t>(k); };
    constexpr uint64_t seeds = 40;
    uint64_t ran = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        ParallelLoad load;
        load.seed = seed;
        load.workers = 6;
        load.yield_one_in = 2;
        load.stall = std::chrono::seconds{3};
        switch (commit_mutant) {
            case CommitMutant::no_bounds: load.kinds = kind(LoadKind::till); break;
            case CommitMutant::no_environment: load.kinds = kind(LoadKind::number); break;
            case CommitMutant::sequence_before_locks:
                load.kinds = kind(LoadKind::skew) | kind(LoadKind::counter) |
                             kind(LoadKind::balance_read) | kind(LoadKind::racing_transfer);
                break;
            case CommitMutant::no_promise:
                load.kinds = kind(LoadKind::parent_hash) | kind(LoadKind::history);
                break;
            default: break;
        }
        const ParallelOutcome out = ParallelRun(load).run();
        ++ran;
        if (!out.wrong.empty()) {
            std::printf("caught with seed %llu: %s\n", static_cast<unsigned long long>(seed),
                        out.wrong.c_str());
            return 0;
        }
    }
    std::printf("not caught in %llu schedules\n", static_cast<unsigned long long>(ran));
    return 1;
}
