// SPDX-License-Identifier: Apache-2.0
// Owns small sets of transactions whose commits are explored in every schedule, and the serial
// execution that each schedule is compared with.
#pragma once

// Before the cells, whose words it makes.
#include "tests/host/sequencer/memory_model.hpp"

#include <string>
#include <vector>

#include "host/sequencer/executor/cells.hpp"
#include "tests/host/sequencer/exploration.hpp"

namespace millrace::sequencer::test {

inline constexpr size_t model_accounts = 3;
inline constexpr uint64_t model_nonce = 1;     ///< of each account at the beginning
inline constexpr uint64_t model_balance = 10;  ///< likewise
inline constexpr size_t model_nobody = model_accounts;

struct ModelOperation {
    enum class Kind : uint8_t {
        read,   ///< the nonce
        write,  ///< the nonce, with a value that tells the writer and all that it has observed
        look,   ///< at the balance
        ask,    ///< whether the balance is at least `amount`
        pay,    ///< `amount` to account `to`, or to nobody, if there is as much
        earn,   ///< `amount`, from nobody
    };
    Kind kind = Kind::read;
    size_t account = 0;
    uint64_t amount = 0;
    size_t to = 0;
};
using ModelTransaction = std::vector<ModelOperation>;

struct CommitModel {
    std::string name;
    std::vector<ModelTransaction> transactions;  ///< each on a thread of its own
    uint32_t attempts = 1;                       ///< of each, while it is refused
    bool border = false;  ///< one more thread closes the block and opens the next one
};

struct CommitModelReport {
    Exploration::Report exploration;
    // Over all schedules.
    uint64_t committed = 0;
    uint64_t refused = 0;        ///< with a number
    uint64_t refused_early = 0;  ///< without one
    uint64_t committed_all = 0;  ///< schedules in which every transaction was
    uint64_t in_next_block = 0;
};

/// Drives CellTable::commit and CellView through every schedule. At the end of each: the results,
/// what was published, the final state and its versions are those of executing what was committed
/// one after the other in the order of the numbers; every number up to the last has been told of
/// exactly once; those of a block come before its border.
CommitModelReport explore_commits(const CommitModel& model);

/// All pairs of transactions that read any of two cells and write any of them.
std::vector<CommitModel> models_of_pairs();
/// Pairs that move and look at balances.
std::vector<CommitModel> models_of_balances();
/// Three transactions: write skew in a ring, readers, bounds that others move.
std::vector<CommitModel> models_of_three();
/// Transactions at the border of a block.
std::vector<CommitModel> models_of_borders();

}  // namespace millrace::sequencer::test
