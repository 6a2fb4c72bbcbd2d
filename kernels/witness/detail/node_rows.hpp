// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of nodes on the CPU whose children lie one pair after the other.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/tree.hpp"

namespace millrace::kernels::detail {

inline constexpr size_t children_bytes = 2 * Hash256::size_bytes;

/// Pairs of children, and the digests of their parents. It fits the first-level cache.
struct NodeRow {
    static constexpr size_t count_max = 256;

    void put(size_t i, const Hash256& left, const Hash256& right) {
        std::memcpy(children + children_bytes * i, left.data(), Hash256::size_bytes);
        std::memcpy(children + children_bytes * i + Hash256::size_bytes, right.data(),
                    Hash256::size_bytes);
    }

    uint8_t children[children_bytes * count_max];
    Hash256 parents[count_max];
};

/// Writes the first `count` parents.
Result<void> hash_row(Backend backend, NodeHash hash, NodeRow& row, size_t count);

/// The error of a call on a back end that is not here, or nothing.
Result<void> require_witness_cuda();

}  // namespace millrace::kernels::detail
