// SPDX-License-Identifier: Apache-2.0
// Owns the checks around a resident tree and what a failure of its back end leaves behind.
#include "kernels/tree/resident_tree.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "kernels/tree/detail/resident_host.hpp"
#include "kernels/tree/detail/resident_store.hpp"

namespace millrace::kernels {

namespace {

constexpr size_t writes_limit = size_t{1} << tree_height_max;

Result<void> check_options(const ResidentTreeOptions& options) {
    if (options.height > tree_height_max) {
        return fail(ErrorCode::invalid_input, "a resident tree of height " +
                                                  std::to_string(options.height) +
                                                  "; it may have at most 2^30 leaves");
    }
    if (options.writes_max == 0 || options.writes_max > writes_limit) {
        return fail(ErrorCode::invalid_input, "a resident tree for updates of " +
                                                  std::to_string(options.writes_max) +
                                                  " writes; from 1 to 2^30 are possible");
    }
    return {};
}

detail::ResidentShape shape_of(const ResidentTreeOptions& options) {
    return {.hash = options.hash,
            .height = options.height,
            .writes_max = static_cast<uint32_t>(options.writes_max),
            .report_changes = options.report_changes};
}

Result<std::unique_ptr<detail::ResidentStore>> make_store(Backend backend,
                                                          const detail::ResidentShape& shape) {
    if (backend != Backend::cuda) {
        try {
            return std::make_unique<detail::ResidentHost>(backend, shape);
        } catch (const std::exception& e) {
            return fail(ErrorCode::limit, "no memory for a resident tree of height " +
                                              std::to_string(shape.height) + " and updates of " +
                                              std::to_string(shape.writes_max) +
                                              " writes: " + e.what());
        }
    }
    const detail::CudaProbe& probe = detail::resident_cuda_probe();
    if (!probe.available) { return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason); }
    std::unique_ptr<detail::ResidentStore> store;
    if (std::string fault = detail::make_resident_cuda(shape, store); !fault.empty()) {
        return fail(ErrorCode::internal, "CUDA back end: " + fault);
    }
    return store;
}

}  // namespace

Result<ResidentTree> ResidentTree::open(Backend backend, const ResidentTreeOptions& options) {
    MILLRACE_CHECK(check_options(options));
    MILLRACE_TRY(std::unique_ptr<detail::ResidentStore> store,
                 make_store(backend, shape_of(options)));
    return open(backend, options, std::move(store));
}

Result<ResidentTree> ResidentTree::open(Backend backend, const ResidentTreeOptions& options,
                                        std::unique_ptr<detail::ResidentStore> store) {
    MILLRACE_CHECK(check_options(options));
    ResidentTree tree(backend, options, std::move(store));
    MILLRACE_CHECK(tree.settle_fault(tree.store_->fill(options.leaf)));
    MILLRACE_CHECK(tree.read_root());
    return tree;
}

ResidentTree::ResidentTree(Backend backend, const ResidentTreeOptions& options,
                           std::unique_ptr<detail::ResidentStore> store)
    : backend_(backend), options_(options), store_(std::move(store)) {}

ResidentTree::~ResidentTree() = default;
ResidentTree::ResidentTree(ResidentTree&& other) noexcept = default;
ResidentTree& ResidentTree::operator=(ResidentTree&& other) noexcept = default;

TreeStaging ResidentTree::staging() {
    const detail::ResidentStaging memory = store_->staging();
    return {memory.leaves, memory.values};
}

Result<TreeChanges> ResidentTree::update(std::span<const uint32_t> leaves,
                                         std::span<const Hash256> values) {
    if (leaves.size() != values.size()) {
        return fail(ErrorCode::invalid_input, "an update of " + std::to_string(leaves.size()) +
                                                  " leaves has " + std::to_string(values.size()) +
                                                  " values; the counts must be equal");
    }
    MILLRACE_CHECK(check_usable());
    MILLRACE_CHECK(check_writes(leaves));
    if (leaves.size() <= options_.writes_max) {
        const TreeStaging memory = staging();
        std::copy(leaves.begin(), leaves.end(), memory.leaves.begin());
        std::copy(values.begin(), values.end(), memory.values.begin());
    }
    return update_staged(leaves.size());
}

Result<void> ResidentTree::check_writes(std::span<const uint32_t> leaves) const {
    for (size_t i = 0; i < leaves.size(); ++i) {
        if (leaves[i] >> options_.height != 0) {
            return fail(ErrorCode::invalid_input, "write " + std::to_string(i) + " is to leaf " +
                                                      std::to_string(leaves[i]) + " of 2^" +
                                                      std::to_string(options_.height));
        }
    }
    return {};
}

Result<TreeChanges> ResidentTree::update_staged(size_t writes) {
    MILLRACE_CHECK(check_usable());
    if (writes > options_.writes_max) {
        return fail(ErrorCode::invalid_input, "an update of " + std::to_string(writes) +
                                                  " writes; this tree was made for " +
                                                  std::to_string(options_.writes_max));
    }
    if (writes == 0) { return TreeChanges{.root = root_, .nodes = {}, .hashes = {}}; }
    const std::span<const uint32_t> leaves = staging().leaves.first(writes);
    MILLRACE_CHECK(check_writes(leaves));
    const bool sorted = std::ranges::is_sorted(leaves);
    detail::ResidentReport report;
    MILLRACE_CHECK(settle_fault(store_->update(static_cast<uint32_t>(writes), sorted, report)));
    root_ = report.root;
    return TreeChanges{.root = root_, .nodes = report.nodes, .hashes = report.hashes};
}

Result<void> ResidentTree::load(std::span<const Hash256> leaves) {
    MILLRACE_CHECK(check_usable());
    if (leaves.size() != size_t{1} << options_.height) {
        return fail(ErrorCode::invalid_input, std::to_string(leaves.size()) +
                                                  " leaves for a tree of 2^" +
                                                  std::to_string(options_.height));
    }
    MILLRACE_CHECK(settle_fault(store_->load(leaves)));
    return read_root();
}

Result<void> ResidentTree::read(size_t first, std::span<Hash256> nodes) {
    MILLRACE_CHECK(check_usable());
    const size_t count = tree_nodes(options_.height);
    if (first == 0 || first > count || nodes.size() > count - first) {
        return fail(ErrorCode::invalid_input,
                    std::to_string(nodes.size()) + " nodes from node " + std::to_string(first) +
                        " on; the tree has 1 to " + std::to_string(count - 1));
    }
    if (nodes.empty()) { return {}; }
    return settle_fault(store_->read(first, nodes));
}

size_t ResidentTree::tree_bytes() const noexcept { return store_->tree_bytes(); }
size_t ResidentTree::staging_bytes() const noexcept { return store_->staging_bytes(); }

Result<void> ResidentTree::check_usable() const {
    if (!poisoned()) { return {}; }
    return fail(ErrorCode::unavailable,
                "the resident tree failed before (" + fault_ + "); load its leaves into another");
}

Result<void> ResidentTree::settle_fault(std::string fault) {
    if (fault.empty()) { return {}; }
    fault_ = std::move(fault);
    return fail(ErrorCode::internal, "resident tree: " + fault_);
}

Result<void> ResidentTree::read_root() {
    Hash256 root;
    MILLRACE_CHECK(settle_fault(store_->read(1, {&root, 1})));
    root_ = root;
    return {};
}

BackendStatus resident_tree_status(Backend backend) {
    BackendStatus status{.kernel = "tree", .backend = backend, .available = true};
    if (backend == Backend::cuda) {
        const detail::CudaProbe& probe = detail::resident_cuda_probe();
        status.available = probe.available;
        status.target = probe.target;
        status.reason = probe.reason;
    }
    return status;
}

}  // namespace millrace::kernels
