// SPDX-License-Identifier: Apache-2.0
// Owns a Merkle tree that stays where it is hashed, in the host's memory or a device's, and takes
// dirty leaves in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/node_hash.hpp"

namespace millrace::kernels {

namespace detail {
class ResidentStore;
}

struct ResidentTreeOptions {
    NodeHash hash = NodeHash::keccak256;
    /// The tree has 2^height leaves; at most tree_height_max.
    unsigned height = 0;
    /// Most writes of one update, 1 to 2^30, repeats included. It sets the memory for staging.
    size_t writes_max = 65536;
    /// Without it updates give the root only and copy nothing else back.
    bool report_changes = true;
    /// What every leaf is at first.
    Hash256 leaf;
};

/// Memory for writes, of writes_max elements each; with CUDA it is pinned, so that writes put
/// there are copied once less. Its content is kept between updates.
struct TreeStaging {
    std::span<uint32_t> leaves;
    std::span<Hash256> values;
};

/// What an update changed: every node above a written leaf once, whether its hash differs or not,
/// deepest level first and ascending in each level, so that the root is the last one. The written
/// leaves themselves are not among them. nodes[i] is a place in heap order (see tree_nodes) and
/// hashes[i] its hash. Both are empty when changes are not reported, when nothing was written, and
/// in a tree of height 0. The spans hold until the next call on the tree.
struct TreeChanges {
    Hash256 root;
    std::span<const uint32_t> nodes;
    std::span<const Hash256> hashes;
};

/// A tree whose nodes stay in the memory of its back end: `scalar` and `simd` the host's, `cuda`
/// that of the process's first device. Every back end gives the same roots and the same changes in
/// the same order. A forest of 2^k trees of one height is the lower part of one tree that is k
/// higher: the roots of the forest are among the changes.
///
/// All memory is taken by open: 2^(height + 1) nodes of 32 bytes and, for each write of writes_max,
/// at most 64 bytes and the changes, 4 + 32 bytes for each of at most min(writes_max, 2^d) nodes at
/// depth d; on the host 16 bytes for each of min(4096, 2^height) leaves that load() marks. With CUDA
/// staging and changes are held twice, on the device and pinned on the host.
///
/// Failures. `invalid_input` changes nothing. Any other failure (a lost device, a failed call)
/// leaves the tree poisoned: its nodes are unknown, every later call fails with `unavailable` and
/// the first failure's text, and root() stays that of the last update that succeeded. The caller
/// goes on with a tree on the host: open it and load the leaves, of which it keeps a copy or which
/// it follows by applying its own writes; then it repeats the failed update, which was not
/// reported. After a failed CUDA call the device may be of no more use to this process at all.
///
/// One thread at a time.
class ResidentTree {
public:
    /// Fails with `invalid_input` on a wrong option, `unavailable` when there is no such back end
    /// here, `limit` when the host's memory does not suffice, and `internal` when the device fails,
    /// for want of memory too.
    static Result<ResidentTree> open(Backend backend, const ResidentTreeOptions& options);
    /// A tree on a back end of the caller's; for tests.
    static Result<ResidentTree> open(Backend backend, const ResidentTreeOptions& options,
                                     std::unique_ptr<detail::ResidentStore> store);
    ~ResidentTree();
    ResidentTree(ResidentTree&& other) noexcept;
    ResidentTree& operator=(ResidentTree&& other) noexcept;

    TreeStaging staging();
    /// Writes values[i] to leaf leaves[i] and rehashes the nodes above, each once. Leaves come in
    /// any order; of several writes to one leaf the last one counts. Leaves in ascending order are
    /// not sorted again.
    Result<TreeChanges> update(std::span<const uint32_t> leaves, std::span<const Hash256> values);
    /// The same with the first `writes` writes of staging().
    Result<TreeChanges> update_staged(size_t writes);
    /// Sets all leaves, 2^height of them, and rehashes everything.
    Result<void> load(std::span<const Hash256> leaves);
    /// Copies nodes.size() nodes in heap order, from node `first` on; not node 0.
    Result<void> read(size_t first, std::span<Hash256> nodes);

    const Hash256& root() const noexcept { return root_; }
    bool poisoned() const noexcept { return !fault_.empty(); }
    Backend backend() const noexcept { return backend_; }
    const ResidentTreeOptions& options() const noexcept { return options_; }
    /// Memory where the nodes lie, and memory of the host for staging, in bytes.
    size_t tree_bytes() const noexcept;
    size_t staging_bytes() const noexcept;

private:
    ResidentTree(Backend backend, const ResidentTreeOptions& options,
                 std::unique_ptr<detail::ResidentStore> store);
    Result<void> check_usable() const;
    /// Whether every written leaf exists.
    Result<void> check_writes(std::span<const uint32_t> leaves) const;
    /// Poisons the tree when the text is not empty.
    Result<void> settle_fault(std::string fault);
    Result<void> read_root();

    Backend backend_;
    ResidentTreeOptions options_;
    std::unique_ptr<detail::ResidentStore> store_;
    Hash256 root_;
    std::string fault_;
};

/// Whether `cuda` can be opened here; the other back ends always can.
BackendStatus resident_tree_status(Backend backend);

}  // namespace millrace::kernels
