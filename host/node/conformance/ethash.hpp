// SPDX-License-Identifier: Apache-2.0
// Owns the verification of proof of work, for the fixtures that carry one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "evm/tx/block.hpp"

namespace millrace::node {

/// Ethash for the blocks of one epoch (yellow paper, appendix J), by the cache alone: an element of
/// the dataset is made when it is asked for. Immutable, safe from any thread.
class EthashEpoch {
public:
    static constexpr uint64_t blocks = 30'000;
    /// Twice what the main network had when proof of work ended there; the cache of the last one
    /// takes 144 MiB.
    static constexpr uint64_t count_max = 1024;
    using Node = std::array<uint32_t, 16>;

    struct Work {
        Hash256 mix_hash;
        Hash256 result;  ///< as a number, at most 2^256 / difficulty in a valid block
    };

    /// Makes the cache: 16 MiB and about a second for epoch 0. `epoch` is below count_max.
    explicit EthashEpoch(uint64_t epoch);
    Work hash(const Hash256& seal_hash, const FixedBytes<8>& nonce) const;

    const std::vector<Node>& cache() const noexcept { return cache_; }
    uint64_t dataset_bytes() const noexcept { return dataset_bytes_; }

private:
    Node dataset_item(uint32_t index) const;

    std::vector<Node> cache_;
    uint64_t dataset_bytes_;
};

/// The epoch of a block; null above count_max epochs. The last one asked for is kept.
std::shared_ptr<const EthashEpoch> ethash_epoch_of(uint64_t block_number);
/// What the work of a header is done over: its hash without mix hash and nonce.
Hash256 seal_hash(const evm::BlockHeader& header);
/// Whether the header's nonce and mix hash prove its difficulty.
bool seal_is_valid(const evm::BlockHeader& header);

}  // namespace millrace::node
