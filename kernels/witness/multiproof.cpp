// SPDX-License-Identifier: Apache-2.0
// Owns the checks of a multiproof's form and the sweep from its leaves to the roots.
#include "kernels/witness/multiproof.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "host/base/hex.hpp"
#include "kernels/witness/detail/backends.hpp"
#include "kernels/witness/detail/node_rows.hpp"
#include "kernels/witness/detail/sweep_levels.hpp"

namespace millrace::kernels {

namespace {

using detail::NodeRow;
using detail::SweepLevels;
using detail::SweepStep;

std::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::invalid_input, "multiproof: " + std::move(what));
}

std::string leaf_at(size_t i, uint64_t index) {
    return "leaf " + std::to_string(i) + " (index " + std::to_string(index) + ")";
}

Result<void> check_indices(unsigned height, std::span<const uint64_t> indices) {
    if (height > proof_height_max) {
        return refuse("the height is " + std::to_string(height) + ", at most " +
                      std::to_string(proof_height_max));
    }
    if (indices.empty()) { return refuse("it has no leaf"); }
    if (indices.size() > multiproof_leaves_max) {
        return fail(ErrorCode::limit, "multiproof: it has " + std::to_string(indices.size()) +
                                          " leaves, at most " +
                                          std::to_string(multiproof_leaves_max));
    }
    for (size_t i = 0; i < indices.size(); ++i) {
        if (indices[i] >> height != 0) {
            return refuse(leaf_at(i, indices[i]) + " is not in a tree of height " +
                          std::to_string(height));
        }
        if (i == 0 || indices[i - 1] < indices[i]) { continue; }
        return refuse(leaf_at(i, indices[i]) + (indices[i - 1] == indices[i]
                                                    ? " is given twice"
                                                    : " is not in ascending order"));
    }
    return {};
}

}  // namespace

Result<size_t> multiproof_sibling_count(unsigned height, std::span<const uint64_t> indices) {
    MILLRACE_CHECK(check_indices(height, indices));
    // Two neighbours have different ancestors up to the level of their highest different bit.
    std::array<size_t, proof_height_max + 2> splits{};
    for (size_t i = 1; i < indices.size(); ++i) {
        ++splits[static_cast<size_t>(std::bit_width(indices[i - 1] ^ indices[i]))];
    }
    // Known nodes of a level: one more than the neighbours that differ there. Each parent has two
    // children, known or among the siblings.
    size_t known = indices.size();
    size_t siblings = 0;
    for (unsigned level = 0; level < height; ++level) {
        const size_t parents = known - splits[level + 1];
        siblings += 2 * parents - known;
        known = parents;
    }
    return siblings;
}

Result<std::vector<NodePlace>> multiproof_sibling_places(unsigned height,
                                                         std::span<const uint64_t> indices) {
    MILLRACE_TRY(const size_t count, multiproof_sibling_count(height, indices));
    std::vector<NodePlace> places;
    places.reserve(count);
    std::vector<uint64_t> positions;
    std::vector<SweepStep> steps;
    std::vector<uint64_t> below(indices.begin(), indices.end());
    SweepLevels levels(indices, positions, steps);
    for (unsigned level = 0; level < height; ++level) {
        for (const SweepStep& step : levels.next()) {
            if (step.sibling != SweepStep::both_known) {
                places.push_back({level, below[step.node] ^ 1});
            }
        }
        below.assign(levels.positions().begin(), levels.positions().end());
    }
    return places;
}

MultiproofSweep::MultiproofSweep(NodeHash hash, unsigned height) : hash_(hash), height_(height) {
    MILLRACE_ASSERT(height <= proof_height_max, "indices have 64 bits");
}

Result<Hash256> MultiproofSweep::root(Backend backend, std::span<const uint64_t> indices,
                                      std::span<const Hash256> leaves,
                                      std::span<const Hash256> siblings) {
    Hash256 root;
    MILLRACE_CHECK(sweep(backend, indices, std::array{leaves}, siblings, {&root, 1}));
    return root;
}

Result<RootPair> MultiproofSweep::roots(Backend backend, std::span<const uint64_t> indices,
                                        std::span<const Hash256> before,
                                        std::span<const Hash256> after,
                                        std::span<const Hash256> siblings) {
    std::array<Hash256, 2> roots;
    MILLRACE_CHECK(sweep(backend, indices, std::array{before, after}, siblings, roots));
    return RootPair{roots[0], roots[1]};
}

Result<void> MultiproofSweep::check(Backend backend, const Hash256& expected,
                                    std::span<const uint64_t> indices,
                                    std::span<const Hash256> leaves,
                                    std::span<const Hash256> siblings) {
    MILLRACE_TRY(const Hash256 got, root(backend, indices, leaves, siblings));
    if (got == expected) { return {}; }
    return refuse("it leads to the root " + to_hex(got) + ", expected " + to_hex(expected));
}

Result<void> MultiproofSweep::sweep(Backend backend, std::span<const uint64_t> indices,
                                    LeafSets sets, std::span<const Hash256> siblings,
                                    std::span<Hash256> roots) {
    MILLRACE_TRY(const size_t sibling_count, multiproof_sibling_count(height_, indices));
    for (const std::span<const Hash256> leaves : sets) {
        if (leaves.size() != indices.size()) {
            return refuse("it has " + std::to_string(indices.size()) + " indices and " +
                          std::to_string(leaves.size()) + " leaves");
        }
    }
    if (siblings.size() != sibling_count) {
        return refuse(
            "it has " + std::to_string(siblings.size()) + " siblings, but its leaves " + "need " +
            std::to_string(sibling_count) +
            (siblings.size() < sibling_count ? ": some are missing" : ": some are left over"));
    }
    if (backend == Backend::cuda) {
        MILLRACE_CHECK(detail::require_witness_cuda());
        const detail::CudaSweep job{height_, indices, sets, siblings};
        if (std::string fault = detail::sweep_cuda(hash_, job, roots); !fault.empty()) {
            return fail(ErrorCode::internal, "CUDA back end: " + fault);
        }
        return {};
    }
    return sweep_on_cpu(backend, indices, sets, siblings, roots);
}

Result<void> MultiproofSweep::sweep_on_cpu(Backend backend, std::span<const uint64_t> indices,
                                           LeafSets sets, std::span<const Hash256> siblings,
                                           std::span<Hash256> roots) {
    // Set s of the leaves is at nodes_[s * stride]; so are their ancestors, closing up.
    const size_t stride = indices.size();
    nodes_.resize(stride * sets.size());
    for (size_t s = 0; s < sets.size(); ++s) {
        std::ranges::copy(sets[s], nodes_.begin() + static_cast<ptrdiff_t>(s * stride));
    }
    SweepLevels levels(indices, positions_, steps_);
    NodeRow row;
    const size_t part_max = NodeRow::count_max / sets.size();
    for (unsigned level = 0; level < height_; ++level) {
        const std::span<const SweepStep> steps = levels.next();
        for (size_t done = 0; done < steps.size(); done += part_max) {
            const std::span part = steps.subspan(done, std::min(part_max, steps.size() - done));
            for (size_t s = 0; s < sets.size(); ++s) {
                const Hash256* const nodes = nodes_.data() + s * stride;
                for (size_t i = 0; i < part.size(); ++i) {
                    const auto [node, sibling] = part[i];
                    const Hash256& known = nodes[node];
                    const bool both = sibling == SweepStep::both_known;
                    const Hash256& other =
                        both ? nodes[node + 1] : siblings[sibling & ~SweepStep::on_the_left];
                    const bool other_is_left = !both && (sibling & SweepStep::on_the_left) != 0;
                    row.put(s * part.size() + i, other_is_left ? other : known,
                            other_is_left ? known : other);
                }
            }
            MILLRACE_CHECK(detail::hash_row(backend, hash_, row, part.size() * sets.size()));
            // A parent's number is at most that of its first child, so only nodes that were taken
            // are replaced.
            for (size_t s = 0; s < sets.size(); ++s) {
                std::copy_n(row.parents + s * part.size(), part.size(),
                            nodes_.begin() + static_cast<ptrdiff_t>(s * stride + done));
            }
        }
        siblings = siblings.subspan(levels.siblings());
    }
    for (size_t s = 0; s < sets.size(); ++s) { roots[s] = nodes_[s * stride]; }
    return {};
}

}  // namespace millrace::kernels
