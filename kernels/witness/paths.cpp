// SPDX-License-Identifier: Apache-2.0
// Owns the check of proof paths: refusals, and the climb of many paths level by level.
#include "kernels/witness/paths.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "kernels/witness/detail/backends.hpp"
#include "kernels/witness/detail/node_rows.hpp"

namespace millrace::kernels {

namespace detail {

Result<void> hash_row(Backend backend, NodeHash hash, NodeRow& row, size_t count) {
    const ByteView children{row.children, children_bytes * count};
    const std::span parents{row.parents, count};
    switch (hash) {
        case NodeHash::keccak256:
            return keccak256_batch(backend, children, children_bytes, parents);
        case NodeHash::sha256: return sha256_batch(backend, children, children_bytes, parents);
        case NodeHash::blake3: return blake3_batch(backend, children, children_bytes, parents);
    }
    return fail(ErrorCode::invalid_input, "no such node hash");
}

Result<void> require_witness_cuda() {
    const CudaProbe& probe = witness_cuda_probe();
    if (probe.available) { return {}; }
    return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason);
}

}  // namespace detail

namespace {

/// What is wrong with a path before anything is hashed.
PathVerdict shape_of(const ProofPath& path, unsigned height) {
    if (path.siblings.size() != height) { return PathVerdict::wrong_length; }
    if (path.index >> height != 0) { return PathVerdict::index_out_of_range; }
    return PathVerdict::valid;
}

/// Climbs up to NodeRow::count_max paths of the right shape, one level of all at a time.
class Climb {
public:
    Climb(Backend backend, NodeHash hash, unsigned height)
        : backend_(backend), hash_(hash), height_(height) {}

    bool is_full() const { return count_ == detail::NodeRow::count_max; }

    void add(const ProofPath& path, PathVerdict& verdict) {
        paths_[count_] = &path;
        verdicts_[count_] = &verdict;
        row_.parents[count_] = path.leaf;
        ++count_;
    }

    Result<void> finish(const Hash256& root) {
        for (unsigned level = 0; level < height_; ++level) {
            for (size_t i = 0; i < count_; ++i) {
                const Hash256& node = row_.parents[i];
                const Hash256& sibling = paths_[i]->siblings[level];
                const bool is_right = (paths_[i]->index >> level & 1) != 0;
                row_.put(i, is_right ? sibling : node, is_right ? node : sibling);
            }
            MILLRACE_CHECK(detail::hash_row(backend_, hash_, row_, count_));
        }
        for (size_t i = 0; i < count_; ++i) {
            *verdicts_[i] = row_.parents[i] == root ? PathVerdict::valid : PathVerdict::wrong_root;
        }
        count_ = 0;
        return {};
    }

private:
    Backend backend_;
    NodeHash hash_;
    unsigned height_;
    size_t count_ = 0;
    const ProofPath* paths_[detail::NodeRow::count_max];
    PathVerdict* verdicts_[detail::NodeRow::count_max];
    detail::NodeRow row_;
};

Result<void> check_on_cpu(Backend backend, NodeHash hash, unsigned height, const Hash256& root,
                          std::span<const ProofPath> paths, std::span<PathVerdict> verdicts) {
    Climb climb(backend, hash, height);
    for (size_t i = 0; i < paths.size(); ++i) {
        verdicts[i] = shape_of(paths[i], height);
        if (verdicts[i] != PathVerdict::valid) { continue; }
        if (climb.is_full()) { MILLRACE_CHECK(climb.finish(root)); }
        climb.add(paths[i], verdicts[i]);
    }
    return climb.finish(root);
}

Result<void> check_on_cuda(NodeHash hash, unsigned height, const Hash256& root,
                           std::span<const ProofPath> paths, std::span<PathVerdict> verdicts) {
    MILLRACE_CHECK(detail::require_witness_cuda());
    std::vector<detail::CudaPath> shaped;
    std::vector<size_t> places;
    for (size_t i = 0; i < paths.size(); ++i) {
        verdicts[i] = shape_of(paths[i], height);
        if (verdicts[i] != PathVerdict::valid) { continue; }
        shaped.push_back({&paths[i].leaf, paths[i].siblings.data(), paths[i].index});
        places.push_back(i);
    }
    std::vector<uint8_t> leads(shaped.size());
    if (std::string fault = detail::check_paths_cuda(hash, height, root, shaped, leads);
        !fault.empty()) {
        return fail(ErrorCode::internal, "CUDA back end: " + fault);
    }
    for (size_t i = 0; i < leads.size(); ++i) {
        verdicts[places[i]] = leads[i] != 0 ? PathVerdict::valid : PathVerdict::wrong_root;
    }
    return {};
}

}  // namespace

Result<void> check_paths(Backend backend, NodeHash hash, unsigned height, const Hash256& root,
                         std::span<const ProofPath> paths, std::span<PathVerdict> verdicts) {
    if (paths.size() != verdicts.size()) {
        return fail(ErrorCode::invalid_input, "check_paths got " + std::to_string(paths.size()) +
                                                  " paths and " + std::to_string(verdicts.size()) +
                                                  " verdicts; the counts must be equal");
    }
    if (height > proof_height_max) {
        return fail(ErrorCode::invalid_input, "check_paths got the height " +
                                                  std::to_string(height) + ", at most " +
                                                  std::to_string(proof_height_max));
    }
    if (backend == Backend::cuda) { return check_on_cuda(hash, height, root, paths, verdicts); }
    return check_on_cpu(backend, hash, height, root, paths, verdicts);
}

BackendStatus witness_backend_status(Backend backend) {
    BackendStatus status{.kernel = "witness", .backend = backend};
    switch (backend) {
        case Backend::scalar:
            status.available = true;
            status.target = "one node at a time";
            break;
        case Backend::simd: {
            const BackendStatus keccak = keccak_backend_status(Backend::simd);
            status.available = keccak.available;
            status.target = keccak.target;
            status.reason = keccak.reason;
            break;
        }
        case Backend::cuda: {
            const detail::CudaProbe& probe = detail::witness_cuda_probe();
            status.available = probe.available;
            status.target = probe.target;
            status.reason = probe.reason;
            break;
        }
    }
    return status;
}

}  // namespace millrace::kernels
