// SPDX-License-Identifier: Apache-2.0
// Owns a resident tree in the memory of the host.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/tree/detail/resident_store.hpp"
#include "kernels/tree/tree.hpp"

namespace millrace::kernels::detail {

class ResidentHost final : public ResidentStore {
public:
    /// `backend` is scalar or simd.
    ResidentHost(Backend backend, const ResidentShape& shape);

    ResidentStaging staging() override { return {leaves_, values_}; }
    std::string fill(const Hash256& leaf) override;
    std::string load(std::span<const Hash256> leaves) override;
    std::string update(uint32_t writes, bool sorted, ResidentReport& report) override;
    std::string read(size_t first, std::span<Hash256> nodes) override;
    size_t tree_bytes() const override;
    size_t staging_bytes() const override;

private:
    void settle(uint32_t writes, bool sorted);
    std::string rehash();
    void report_changes();

    Backend backend_;
    ResidentShape shape_;
    TreeHasher hasher_;
    std::vector<Hash256> nodes_;
    std::vector<uint32_t> leaves_;
    std::vector<Hash256> values_;
    std::vector<uint64_t> order_;   ///< leaf above the number of its write
    std::vector<DirtyLeaf> dirty_;  ///< ascending
    std::vector<uint32_t> changed_nodes_;
    std::vector<Hash256> changed_hashes_;
};

}  // namespace millrace::kernels::detail
