// SPDX-License-Identifier: Apache-2.0
// Owns the keys, values and batches of the state benchmark and what each key is to be.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "host/base/types.hpp"
#include "storage/qmdb/engine.hpp"

namespace millrace::state_bench {

/// A sorted batch with the memory of its values.
struct Batch {
    std::vector<storage::qmdb::StateWrite> writes;
    Bytes values;
};

/// Everything follows from the seed, so that each store gets the same.
class Workload {
public:
    Workload(uint64_t keys, uint64_t seed) : key_count_(keys), random_(seed), versions_(keys) {}

    /// The next `count` keys that were never there.
    Batch load(uint64_t count);
    /// New values for `count` different keys; `hot` draws nine in ten of them from one key in a
    /// hundred.
    Batch update(uint64_t count, bool hot);
    /// Half updates, a quarter of removals and a quarter of keys that come (back).
    Batch churn(uint64_t count);

    uint64_t key_count() const noexcept { return key_count_; }
    uint64_t next_random() noexcept;
    static Hash256 key(uint64_t index) noexcept;
    /// What the key is now.
    std::optional<Bytes> expected(uint64_t index) const;

private:
    uint64_t draw(bool hot) noexcept;
    Batch batch_of(std::vector<uint64_t> indices, unsigned removals_of_three);

    uint64_t key_count_;
    uint64_t random_;
    uint64_t loaded_ = 0;
    /// Of each key's value; 0 when it is not there. The highest bit keeps the count when it goes.
    std::vector<uint32_t> versions_;
    std::vector<uint64_t> gone_;  ///< keys that were removed last
};

}  // namespace millrace::state_bench
