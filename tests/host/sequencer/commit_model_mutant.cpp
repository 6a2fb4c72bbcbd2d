// SPDX-License-Identifier: Apache-2.0
// Owns the program that explores the commits with a fault built in: it succeeds when some schedule
// shows the fault.
#include <cstdio>

#include "tests/host/sequencer/commit_model.hpp"

int main() {
    using namespace millrace::sequencer::test;
    for (const auto& models :
         {models_of_pairs(), models_of_balances(), models_of_three(), models_of_borders()}) {
        for (const CommitModel& m : models) {
            const CommitModelReport r = explore_commits(m);
            if (r.exploration.wrong.empty()) { continue; }
            std::printf("caught in %s: %s\n%s", m.name.c_str(), r.exploration.wrong.c_str(),
                        r.exploration.schedule.c_str());
            return 0;
        }
    }
    std::printf("not caught in any schedule\n");
    return 1;
}
