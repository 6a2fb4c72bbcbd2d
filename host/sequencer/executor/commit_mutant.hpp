// SPDX-License-Identifier: Apache-2.0
// Owns the faults that a test builds into the commit on purpose, to see them caught.
#pragma once

#include <cstdint>

namespace millrace::sequencer {

enum class CommitMutant : uint8_t {
    none,
    no_validation,          ///< what was read is not looked at again
    sequence_before_locks,  ///< the number is taken before the cells are locked
    no_bounds,              ///< balances are not looked at again
    bound_of_any_number,    ///< a balance counts that a later number has left
    lost_number,            ///< a refused commit does not tell of its number
    no_environment,         ///< a transaction may be committed into a later block than it saw
    no_promise,             ///< one that needs its parent's hash does not wait for it
    number_before_border,   ///< a block takes its last number before it is locked
    no_second_look,         ///< a value is read without seeing that it changed meanwhile
    relaxed_words,          ///< the words of a value do not carry the lock that comes before them
};

#ifdef MILLRACE_COMMIT_MUTANT
inline constexpr CommitMutant commit_mutant = CommitMutant::MILLRACE_COMMIT_MUTANT;
#else
inline constexpr CommitMutant commit_mutant = CommitMutant::none;
#endif

}  // namespace millrace::sequencer
