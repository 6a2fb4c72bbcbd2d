// SPDX-License-Identifier: Apache-2.0
// Owns what a back end of a resident tree does, in types that every compiler here knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "host/base/types.hpp"
#include "kernels/batch/detail/cuda_probe.hpp"
#include "kernels/tree/node_hash.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

struct ResidentShape {
    NodeHash hash = NodeHash::keccak256;
    unsigned height = 0;
    uint32_t writes_max = 1;
    bool report_changes = true;
};

/// Memory of the host that a back end reads writes from, writes_max long each.
struct ResidentStaging {
    std::span<uint32_t> leaves;
    std::span<Hash256> values;
};

/// What an update changed; valid until the next call.
struct ResidentReport {
    Hash256 root;
    std::span<const uint32_t> nodes;
    std::span<const Hash256> hashes;
};

/// One tree and its memory. Callers have checked their arguments; texts are empty, or say what
/// failed, after which the nodes are unspecified and the store is not used again.
class ResidentStore {
public:
    virtual ~ResidentStore() = default;
    virtual ResidentStaging staging() = 0;
    /// Sets every leaf to `leaf` and hashes all nodes.
    virtual std::string fill(const Hash256& leaf) = 0;
    /// Sets the leaves, all of them, and hashes all nodes.
    virtual std::string load(std::span<const Hash256> leaves) = 0;
    /// Takes the first `writes` writes of the staging memory, which lie within the tree; `sorted`
    /// says that their leaves do not descend. `writes` is not 0.
    virtual std::string update(uint32_t writes, bool sorted, ResidentReport& report) = 0;
    /// Copies nodes from `first` on.
    virtual std::string read(size_t first, std::span<Hash256> nodes) = 0;
    /// Memory where the tree lies, and memory of the host for staging, in bytes.
    virtual size_t tree_bytes() const = 0;
    virtual size_t staging_bytes() const = 0;
};

/// Asks the driver once, and compares a small tree of each hash with the host; later calls give the
/// same reply.
const CudaProbe& resident_cuda_probe();
/// Makes a store whose nodes are unspecified until fill or load. Gives an empty text, or what
/// failed. It may be called without the probe.
std::string make_resident_cuda(const ResidentShape& shape, std::unique_ptr<ResidentStore>& store);

}  // namespace millrace::kernels::detail
