// SPDX-License-Identifier: Apache-2.0
// Owns the RLP of trie nodes: hex-prefix paths, references to children, the three kinds of nodes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "evm/tx/encoded_size.hpp"
#include "host/base/rlp.hpp"
#include "host/base/types.hpp"

namespace millrace::evm::detail {

/// How a node appears inside its parent: its Keccak-256, or its own RLP when that is below 32
/// bytes. A size of 0 means that the reference has to be computed.
struct NodeRef {
    uint8_t size = 0;
    std::array<uint8_t, 32> bytes{};

    bool known() const noexcept { return size != 0; }
    bool is_hash() const noexcept { return size == 32; }
    size_t encoded_bytes() const noexcept { return is_hash() ? 33 : size; }
    void set_hash(const Hash256& hash) noexcept {
        size = 32;
        bytes = hash.bytes;
    }
    void set_embedded(ByteView rlp) noexcept {
        size = static_cast<uint8_t>(rlp.size());
        std::memcpy(bytes.data(), rlp.data(), rlp.size());
    }
};

/// Nodes whose RLP is shorter than this live inside their parent.
inline constexpr size_t embedded_bytes_max = 31;

/// Writes ref.encoded_bytes() bytes; returns their end.
inline uint8_t* write_ref(uint8_t* to, const NodeRef& ref) noexcept {
    if (ref.is_hash()) {
        *to = 0xa0;
        std::memcpy(to + 1, ref.bytes.data(), 32);
        return to + 33;
    }
    std::memcpy(to, ref.bytes.data(), ref.size);
    return to + ref.size;
}

inline void append_ref(Bytes& out, const NodeRef& ref) {
    const size_t start = out.size();
    out.resize(start + ref.encoded_bytes());
    write_ref(out.data() + start, ref);
}

constexpr uint8_t nibble_of(const uint8_t* key, size_t index) noexcept {
    return index % 2 == 0 ? key[index / 2] >> 4 : key[index / 2] & 0x0f;
}

/// First nibble at or after `from` in which two keys differ; `end` when there is none before it.
inline size_t first_difference(const uint8_t* a, const uint8_t* b, size_t from,
                               size_t end) noexcept {
    size_t i = from;
    while (i < end) {
        if (i % 2 == 0 && i + 2 <= end && a[i / 2] == b[i / 2]) {
            i += 2;
            continue;
        }
        if (nibble_of(a, i) != nibble_of(b, i)) { return i; }
        ++i;
    }
    return end;
}

/// Encoded size of the hex-prefix string of `nibbles` nibbles.
constexpr size_t path_encoded_bytes(size_t nibbles) noexcept {
    const size_t n = nibbles / 2 + 1;
    return n == 1 ? 1 : 1 + n;
}

/// Appends the nibbles [start, end) of `key` as a hex-prefix string (yellow paper, appendix C).
inline void append_path(Bytes& out, const uint8_t* key, size_t start, size_t end, bool is_leaf) {
    const size_t nibbles = end - start;
    const size_t n = nibbles / 2 + 1;
    if (n > 1) { out.push_back(static_cast<uint8_t>(0x80 + n)); }
    uint8_t first = is_leaf ? 0x20 : 0x00;
    if (nibbles % 2 == 1) { first |= static_cast<uint8_t>(0x10 | nibble_of(key, start++)); }
    out.push_back(first);
    for (; start < end; start += 2) {
        out.push_back(static_cast<uint8_t>(nibble_of(key, start) << 4 | nibble_of(key, start + 1)));
    }
}

inline void append_leaf(Bytes& out, const uint8_t* key, size_t start, size_t end, ByteView value) {
    rlp::append_list_header(out, path_encoded_bytes(end - start) + encoded_bytes(value));
    append_path(out, key, start, end, true);
    rlp::append_bytes(out, value);
}

inline void append_extension(Bytes& out, const uint8_t* key, size_t start, size_t end,
                             const NodeRef& child) {
    rlp::append_list_header(out, path_encoded_bytes(end - start) + child.encoded_bytes());
    append_path(out, key, start, end, false);
    append_ref(out, child);
}

/// `child(i)` gives the reference of child i or null. There is never a value: no key of these tries
/// is the beginning of another.
template <class Child>
void append_branch(Bytes& out, Child&& child) {
    std::array<const NodeRef*, 16> refs;
    size_t payload_bytes = 1;
    for (unsigned i = 0; i < 16; ++i) {
        refs[i] = child(i);
        payload_bytes += refs[i] == nullptr ? 1 : refs[i]->encoded_bytes();
    }
    rlp::append_list_header(out, payload_bytes);
    const size_t start = out.size();
    out.resize(start + payload_bytes);
    uint8_t* p = out.data() + start;
    for (const NodeRef* ref : refs) {
        if (ref == nullptr) {
            *p++ = 0x80;
        } else {
            p = write_ref(p, *ref);
        }
    }
    *p = 0x80;
}

}  // namespace millrace::evm::detail
