// SPDX-License-Identifier: Apache-2.0
// Owns a trie root written straight from the yellow paper (appendix D), as an oracle for tests.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "host/base/rlp.hpp"
#include "host/base/types.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::test {

/// Root of a map from byte keys to byte values. Everything is recomputed, nothing is shared with
/// the code under test but Keccak and plain RLP strings and lists.
class NaiveTrie {
public:
    using Nibbles = std::vector<uint8_t>;

    static Hash256 root(const std::map<Bytes, Bytes>& entries) {
        Pairs pairs;
        for (const auto& [key, value] : entries) {
            Nibbles nibbles;
            for (const uint8_t b : key) {
                nibbles.push_back(b / 16);
                nibbles.push_back(b % 16);
            }
            pairs.emplace_back(nibbles, value);
        }
        return kernels::keccak256(pairs.empty() ? Bytes{0x80} : structure(pairs, 0));
    }

private:
    using Pairs = std::vector<std::pair<Nibbles, Bytes>>;

    static void add(Bytes& out, const Bytes& item) {
        out.insert(out.end(), item.begin(), item.end());
    }

    /// The function HP.
    static Bytes hex_prefix(const Nibbles& x, bool t) {
        Nibbles all;
        const uint8_t f = t ? 2 : 0;
        if (x.size() % 2 == 0) {
            all = {f, 0};
        } else {
            all = {static_cast<uint8_t>(f + 1)};
        }
        all.insert(all.end(), x.begin(), x.end());
        Bytes bytes;
        for (size_t i = 0; i < all.size(); i += 2) {
            bytes.push_back(static_cast<uint8_t>(16 * all[i] + all[i + 1]));
        }
        return bytes;
    }

    /// The function n: a node's place in its parent.
    static Bytes cap(const Pairs& pairs, size_t i) {
        if (pairs.empty()) { return {0x80}; }
        const Bytes c = structure(pairs, i);
        if (c.size() < 32) { return c; }
        return rlp::encode(kernels::keccak256(c).view());
    }

    /// The function c: a node's RLP.
    static Bytes structure(const Pairs& pairs, size_t i) {
        Bytes payload;
        if (pairs.size() == 1) {
            const auto& [key, value] = pairs[0];
            const Nibbles rest(key.begin() + static_cast<ptrdiff_t>(i), key.end());
            add(payload, rlp::encode(ByteView(hex_prefix(rest, true))));
            add(payload, rlp::encode(ByteView(value)));
            return rlp::list(payload);
        }
        size_t j = i;
        const Nibbles& first = pairs[0].first;
        for (bool same = true; same;) {
            for (const auto& [key, value] : pairs) {
                same = same && j < key.size() && j < first.size() && key[j] == first[j];
            }
            if (same) { ++j; }
        }
        if (j != i) {
            const Nibbles shared(first.begin() + static_cast<ptrdiff_t>(i),
                                 first.begin() + static_cast<ptrdiff_t>(j));
            add(payload, rlp::encode(ByteView(hex_prefix(shared, false))));
            add(payload, cap(pairs, j));
            return rlp::list(payload);
        }
        Bytes here;
        for (uint8_t nibble = 0; nibble < 16; ++nibble) {
            Pairs below;
            for (const auto& pair : pairs) {
                if (pair.first.size() > i && pair.first[i] == nibble) { below.push_back(pair); }
            }
            add(payload, cap(below, i + 1));
        }
        for (const auto& [key, value] : pairs) {
            if (key.size() == i) { here = value; }
        }
        add(payload, rlp::encode(ByteView(here)));
        return rlp::list(payload);
    }
};

}  // namespace millrace::test
