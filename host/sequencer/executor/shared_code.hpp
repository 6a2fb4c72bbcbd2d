// SPDX-License-Identifier: Apache-2.0
// Owns the analysed code that all workers of a node share.
#pragma once

#include <array>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "evm/core/code.hpp"

namespace millrace::sequencer {

/// Bounded by the bytes of the analyses; of those not asked for since their last turn the oldest
/// goes first (second chance, evm/core/code.hpp). Thread-safe: a lock for each of 16 shards, held
/// for a look into a table.
class SharedCodeStore final : public evm::SharedCode {
public:
    static constexpr size_t default_bytes_max = size_t{256} << 20;
    /// `native_tier` outlives the store; null for the interpreter alone.
    explicit SharedCodeStore(size_t bytes_max = default_bytes_max,
                             evm::NativeTier* native_tier = nullptr) noexcept
        : shard_bytes_max_(bytes_max / shard_count), native_tier_(native_tier) {}

    evm::AnalyzedCodePtr find(const Hash256& hash) override;
    /// As find, but counts as no use.
    evm::AnalyzedCodePtr peek(const Hash256& hash);
    evm::AnalyzedCodePtr add(const Hash256& hash, evm::AnalyzedCodePtr code) override;
    evm::NativeTier* native_tier() noexcept override { return native_tier_; }
    /// What is kept, in bytes; never more than bytes_max, but for one entry in each shard.
    size_t bytes() const;

private:
    static constexpr size_t shard_count = 16;

    struct Entry {
        evm::AnalyzedCodePtr code;
        bool asked_for = false;
    };
    struct Shard {
        mutable std::mutex mutex;  // guards the rest
        std::unordered_map<Hash256, Entry> entries;
        std::deque<Hash256> order;
        size_t bytes = 0;
    };
    static void evict_one(Shard& s);
    Shard& shard_of(const Hash256& hash) noexcept { return shards_[hash[0] % shard_count]; }

    size_t shard_bytes_max_;
    evm::NativeTier* native_tier_;
    std::array<Shard, shard_count> shards_;
};

/// For callers that must not fill the store, as those of eth_call with any code they like.
class SharedCodeReader final : public evm::SharedCode {
public:
    explicit SharedCodeReader(SharedCodeStore& store) noexcept : store_(store) {}
    evm::AnalyzedCodePtr find(const Hash256& hash) override { return store_.peek(hash); }
    evm::AnalyzedCodePtr add(const Hash256&, evm::AnalyzedCodePtr code) override { return code; }
    evm::NativeTier* native_tier() noexcept override { return store_.native_tier(); }

private:
    SharedCodeStore& store_;
};

}  // namespace millrace::sequencer
