// SPDX-License-Identifier: Apache-2.0
// Owns the names of the hashes that inner nodes of Merkle trees have, and the places of nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels {

/// The hash of an inner node: of the 64 bytes of its two children. A commitment that must tell
/// leaves from nodes hashes its leaves over something that is not 64 bytes long.
enum class NodeHash : uint8_t { keccak256, sha256, blake3 };

constexpr std::string_view to_string(NodeHash hash) noexcept {
    switch (hash) {
        case NodeHash::keccak256: return "keccak256";
        case NodeHash::sha256: return "sha256";
        case NodeHash::blake3: return "blake3";
    }
    return "unknown";
}

/// A tree of height h has 2^h leaves and its nodes lie in heap order in an array of 2^(h + 1):
/// node 1 is the root, node i has the children 2i and 2i + 1, leaf j is node 2^h + j, and node 0 is
/// not used. A twig of 2,048 leaves has height 11.
inline constexpr unsigned tree_height_max = 30;
constexpr size_t tree_nodes(unsigned height) { return size_t{2} << height; }
constexpr size_t tree_leaf(unsigned height, size_t leaf) { return (size_t{1} << height) + leaf; }

}  // namespace millrace::kernels
