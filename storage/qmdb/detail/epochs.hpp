// SPDX-License-Identifier: Apache-2.0
// Owns the rule by which memory that a snapshot can see is copied before it is changed.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

namespace millrace::storage::qmdb::detail {

/// A snapshot takes the number of the epoch that it ends. Each piece of shared memory (a page of
/// the index, a tile of the tree) has the number of the epoch that made it, so it belongs to the
/// snapshots with that number or a higher one, and is not changed while there is one.
struct Epochs {
    uint64_t current = 1;
    uint64_t pinned_newest = 0;  ///< 0 when there is no snapshot
    uint64_t pinned_oldest = ~uint64_t{0};
};

/// Pieces that were replaced while a snapshot could see them. One thread; what other threads read
/// is freed only after their snapshots said so.
template <class Piece>
class Limbo {
public:
    void add(Piece* piece, uint64_t epoch) { pieces_.emplace_back(epoch, piece); }
    /// Gives `free` the pieces that belong to no snapshot any more.
    template <class Free>
    void release(const Epochs& epochs, Free&& free) {
        while (!pieces_.empty() && pieces_.front().first <= epochs.pinned_oldest) {
            free(pieces_.front().second);
            pieces_.pop_front();
        }
    }

private:
    std::deque<std::pair<uint64_t, Piece*>> pieces_;  ///< with the epoch in which each was replaced
};

}  // namespace millrace::storage::qmdb::detail
