// SPDX-License-Identifier: Apache-2.0
// Owns the list of messages that a vector kernel takes, and how batches are cut into such lists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "host/base/types.hpp"

namespace millrace::kernels::detail {

/// Messages and where their digests of 32 bytes go, as three arrays of `count`, so that a kernel
/// takes the addresses of its lanes from where they lie. No digest of a list may overlap a message
/// of the same list.
struct HashList {
    const uint8_t* const* messages;
    const size_t* bytes;
    uint8_t* const* digests;
    size_t count;

    HashList first(size_t n) const { return {messages, bytes, digests, n}; }
    HashList from(size_t n) const { return {messages + n, bytes + n, digests + n, count - n}; }
    /// Whether the first `n` messages are as long as the first one.
    bool equal_bytes(size_t n) const {
        size_t different = 0;
        for (size_t i = 1; i < n; ++i) { different |= bytes[i] ^ bytes[0]; }
        return different == 0;
    }
};

/// The first messages of a list, spread over `lanes` lanes. Lanes without a message of their own
/// repeat the first one and write to `scratch`.
template <size_t lanes>
class HashGroup {
public:
    HashGroup(const HashList& list, size_t used)
        : messages(list.messages), bytes(list.bytes), digests(list.digests) {
        if (used == lanes) { return; }
        for (size_t l = 0; l < lanes; ++l) {
            own_messages_[l] = list.messages[l < used ? l : 0];
            own_bytes_[l] = list.bytes[l < used ? l : 0];
            own_digests_[l] = l < used ? list.digests[l] : scratch_;
        }
        messages = own_messages_;
        bytes = own_bytes_;
        digests = own_digests_;
    }
    HashGroup(const HashGroup&) = delete;
    HashGroup& operator=(const HashGroup&) = delete;

    const uint8_t* const* messages;
    const size_t* bytes;
    uint8_t* const* digests;

private:
    const uint8_t* own_messages_[lanes];
    size_t own_bytes_[lanes];
    uint8_t* own_digests_[lanes];
    uint8_t scratch_[32];
};

/// Room for a list under construction.
struct HashListStorage {
    /// The lists of one storage fit the first-level cache with their messages when those are short.
    static constexpr size_t count_max = 512;

    const uint8_t* messages[count_max];
    size_t bytes[count_max];
    uint8_t* digests[count_max];

    HashList list(size_t count) const { return {messages, bytes, digests, count}; }
};

/// Gives `sink` the messages that lie one after the other, `bytes` long each.
template <class Sink>
void for_equal_lists(const uint8_t* messages, size_t bytes, std::span<Hash256> digests,
                     Sink&& sink) {
    HashListStorage storage;
    while (!digests.empty()) {
        const size_t count = std::min(digests.size(), HashListStorage::count_max);
        for (size_t i = 0; i < count; ++i) {
            storage.messages[i] = messages + i * bytes;
            storage.bytes[i] = bytes;
            storage.digests[i] = digests[i].data();
        }
        sink(storage.list(count));
        messages += count * bytes;
        digests = digests.subspan(count);
    }
}

/// Gives `sink` lists of messages of any length; `blocks_of(bytes)`, at least 1, is the work that
/// one takes. A list ascends in blocks, so that neighbours, which share a vector, end together.
template <class BlocksOf, class Sink>
void for_ordered_lists(std::span<const ByteView> messages, std::span<Hash256> digests,
                       BlocksOf&& blocks_of, Sink&& sink) {
    constexpr size_t buckets = 16;  // the last one takes all that is longer and is sorted
    HashListStorage storage;
    uint8_t bucket[HashListStorage::count_max];
    uint16_t order[HashListStorage::count_max];
    const auto put = [&](size_t place, size_t i) {
        storage.messages[place] = messages[i].data();
        storage.bytes[place] = messages[i].size();
        storage.digests[place] = digests[i].data();
    };
    while (!messages.empty()) {
        const size_t count = std::min(messages.size(), HashListStorage::count_max);
        size_t starts[buckets + 1] = {};
        for (size_t i = 0; i < count; ++i) {
            bucket[i] =
                static_cast<uint8_t>(std::min<size_t>(blocks_of(messages[i].size()), buckets) - 1);
            ++starts[bucket[i] + 1];
        }
        if (bucket[0] + 1u < buckets && starts[bucket[0] + 1] == count) {
            for (size_t i = 0; i < count; ++i) { put(i, i); }
        } else {
            for (size_t b = 1; b <= buckets; ++b) { starts[b] += starts[b - 1]; }
            uint16_t* const long_first = order + starts[buckets - 1];
            for (size_t i = 0; i < count; ++i) {
                order[starts[bucket[i]]++] = static_cast<uint16_t>(i);
            }
            std::sort(long_first, order + count, [&](uint16_t x, uint16_t y) {
                return blocks_of(messages[x].size()) < blocks_of(messages[y].size());
            });
            for (size_t i = 0; i < count; ++i) { put(i, order[i]); }
        }
        sink(storage.list(count));
        messages = messages.subspan(count);
        digests = digests.subspan(count);
    }
}

}  // namespace millrace::kernels::detail
