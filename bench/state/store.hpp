// SPDX-License-Identifier: Apache-2.0
// Owns the interface behind which the stores of the state benchmark are measured.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/qmdb/engine.hpp"

namespace millrace::state_bench {

class Store {
public:
    virtual ~Store() = default;

    virtual std::string name() const = 0;
    /// Applies a sorted batch, reading each old value first; durable on return.
    virtual Result<void> apply(uint64_t height,
                               std::span<const storage::qmdb::StateWrite> writes) = 0;
    virtual Result<std::optional<Bytes>> get(const Hash256& key) = 0;
    /// Closes and opens again with what is on the disk.
    virtual Result<void> reopen() = 0;
    /// Takes the last `blocks` batches back, durably, and checks the root; nothing for a store that
    /// cannot.
    virtual std::optional<Result<void>> rollback(uint64_t /*blocks*/) { return std::nullopt; }
    /// Memory for all keys, where the store knows it.
    virtual std::optional<uint64_t> ram_bytes() const { return std::nullopt; }
    /// Bytes of a proof for these ascending keys, which is verified; nothing where there are none.
    virtual Result<std::optional<uint64_t>> proof_bytes(std::span<const Hash256>) {
        return std::nullopt;
    }
    /// Members for the store's line of the result, or nothing.
    virtual std::string details() const { return {}; }
};

/// Each takes an empty directory.
Result<std::unique_ptr<Store>> make_state_store(const std::string& directory,
                                                kernels::NodeHash hash);
Result<std::unique_ptr<Store>> make_rocksdb_store(const std::string& directory);
Result<std::unique_ptr<Store>> make_lmdb_store(const std::string& directory);

}  // namespace millrace::state_bench
