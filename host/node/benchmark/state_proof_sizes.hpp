// SPDX-License-Identifier: Apache-2.0
// Owns the computed sizes of state proofs, for states that are larger than the machine.
#pragma once

#include <cstdint>

namespace millrace::node::state_bench {

/// Where the live entries of a state lie in its log.
enum class LogShape : uint8_t {
    /// Every key was created once, in any order. Each creation appends two entries, its own and its
    /// predecessor's; an entry that was appended as the n-th of K keys came is alive at the end
    /// with a probability of n / K, that of no later key in a gap of mean length 1 / n.
    loaded,
    /// Updates of keys at random for ever, so that an entry of age a is alive with a probability of
    /// exp(-a / K); what is older than 8 K entries was compacted away.
    worn,
};

struct ProofQuestion {
    uint64_t state_keys = 0;    ///< of the whole state
    uint64_t asked_keys = 0;    ///< of them, answered by one proof; all present
    unsigned value_bytes = 32;  ///< of each
    LogShape shape = LogShape::worn;
    /// The keys are drawn from what the last so many writes wrote, each key once; 0 for from all.
    uint64_t recent_writes = 0;
};

/// Bytes of a proof's encoding: of a single one for one key, else of a multiproof. Places are drawn
/// at random as the shape says; then the proof is built with all that its encoding depends on
/// (siblings by place, ActiveBits, lengths of integers, links at random) and encoded. Nodes count
/// as standing for nothing only before the span of live entries and after the last one.
uint64_t proof_bytes(const ProofQuestion& question);

}  // namespace millrace::node::state_bench
