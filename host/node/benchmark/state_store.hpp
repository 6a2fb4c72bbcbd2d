// SPDX-License-Identifier: Apache-2.0
// Owns the interface behind which the stores of `millrace bench state` are measured.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/tree/node_hash.hpp"
#include "storage/qmdb/engine.hpp"

namespace millrace::node::state_bench {

/// Names and numbers for a row of the result.
using Figures = std::vector<std::pair<std::string, double>>;

/// A durable map from keys to values. One thread.
class Store {
public:
    virtual ~Store() = default;

    /// Applies a batch sorted by key, reading each old value first; durable on return.
    virtual Result<void> apply(uint64_t height,
                               std::span<const storage::qmdb::StateWrite> writes) = 0;
    virtual Result<std::optional<Bytes>> get(const Hash256& key) = 0;
    /// Lets go of its files; only open() may follow.
    virtual Result<void> close() = 0;
    /// Opens what close() left on the disk, and checks that it is the same.
    virtual Result<void> open() = 0;

    virtual bool can_roll_back() const { return false; }
    /// Takes the last `blocks` batches back, durably, and checks that this is the state before.
    virtual Result<void> roll_back(uint64_t /*blocks*/) {
        return fail(ErrorCode::unavailable, "this store cannot take batches back");
    }
    /// Memory for all keys that the process holds, where the store tells.
    virtual std::optional<uint64_t> memory_bytes() const { return std::nullopt; }
    /// Bytes of a proof for these ascending keys, which is verified; nothing where there are none.
    virtual Result<std::optional<uint64_t>> proof_bytes(std::span<const Hash256> /*keys*/) {
        return std::optional<uint64_t>{};
    }
    virtual Figures figures() const { return {}; }
};

/// A store that can be measured.
struct StoreKind {
    std::string name;
    /// The engine of this project: its rows have targets and ratios to the others.
    bool is_ours = false;
    /// Opens it in an empty directory. `ErrorCode::unavailable`, with the reason, where it is not
    /// in this build or on this machine.
    std::function<Result<std::unique_ptr<Store>>(const std::string& directory)> open;
};

/// The state engine by hash, then the databases beside it.
const std::vector<StoreKind>& store_kinds();

Result<std::unique_ptr<Store>> open_engine_store(const std::string& directory,
                                                 kernels::NodeHash hash);
Result<std::unique_ptr<Store>> open_rocksdb_store(const std::string& directory);
Result<std::unique_ptr<Store>> open_lmdb_store(const std::string& directory);

}  // namespace millrace::node::state_bench
