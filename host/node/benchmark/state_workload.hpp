// SPDX-License-Identifier: Apache-2.0
// Owns the keys, values and batches of `millrace bench state` and what each key is to be.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "host/base/types.hpp"
#include "storage/qmdb/engine.hpp"

namespace millrace::node::state_bench {

/// A batch sorted by key, with the memory of its values.
struct Batch {
    std::vector<storage::qmdb::StateWrite> writes;
    Bytes values;

    /// Of keys and values.
    uint64_t payload_bytes() const noexcept;
};

/// Ranks from 0 to count - 1, where rank r comes with a probability proportional to
/// (r + 1)^-0.99: the exponent that YCSB made usual. (Gray et al., "Quickly generating
/// billion-record synthetic databases", SIGMOD 1994; the sum of the series is approximated behind
/// its first thousand terms.)
class ZipfRanks {
public:
    explicit ZipfRanks(uint64_t count);
    /// The rank of a number that is evenly spread over [0, 1).
    uint64_t rank(double uniform) const noexcept;

private:
    uint64_t count_;
    double sum_;
    double alpha_;
    double eta_;
};

/// How the keys of updates are chosen.
enum class Choice : uint8_t {
    uniform,
    skewed,  ///< by ZipfRanks
};

/// Everything follows from the seed, so that each store gets the same. A copy goes on on its own.
class Workload {
public:
    Workload(uint64_t keys, uint64_t seed);

    /// The next `count` keys that were never there; fewer at the end.
    Batch load(uint64_t count);
    /// New values for `count` different keys that are there; for fewer where eight times as many
    /// draws did not find as many.
    Batch update(uint64_t count, Choice choice);
    /// Half updates, a quarter of removals and a quarter of keys that come (back), about.
    Batch churn(uint64_t count);

    uint64_t key_count() const noexcept { return key_count_; }
    uint64_t next_random() noexcept;
    static Hash256 key(uint64_t index) noexcept;
    /// What the key is now.
    std::optional<Bytes> expected(uint64_t index) const;
    /// Of keys and values that are there now.
    uint64_t live_bytes() const noexcept { return live_bytes_; }

private:
    uint64_t draw(Choice choice) noexcept;
    Batch batch_of(std::vector<uint64_t> indices, unsigned removals_of_three);

    uint64_t key_count_;
    ZipfRanks zipf_;
    uint64_t random_;
    uint64_t loaded_ = 0;
    uint64_t live_bytes_ = 0;
    /// Of each key's value; 0 when it never was there. The highest bit keeps the count when it
    /// goes.
    std::vector<uint32_t> versions_;
    std::vector<uint64_t> gone_;  ///< keys that were removed last
};

}  // namespace millrace::node::state_bench
