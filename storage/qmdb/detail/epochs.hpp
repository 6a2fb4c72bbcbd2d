// SPDX-License-Identifier: Apache-2.0
// Owns the rule by which memory that a snapshot can see is copied before it is changed.
#pragma once

#include <cstdint>
#include <deque>

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
    /// A piece that takes `bytes` of memory.
    void add(Piece* piece, uint64_t epoch, uint64_t bytes) {
        pieces_.push_back({epoch, piece, bytes});
        bytes_ += bytes;
    }
    /// Gives `free` the pieces that belong to no snapshot any more.
    template <class Free>
    void release(const Epochs& epochs, Free&& free) {
        while (!pieces_.empty() && pieces_.front().epoch <= epochs.pinned_oldest) {
            bytes_ -= pieces_.front().bytes;
            free(pieces_.front().piece);
            pieces_.pop_front();
        }
    }
    /// Memory of the pieces that are kept.
    uint64_t bytes() const noexcept { return bytes_; }

private:
    struct Kept {
        uint64_t epoch = 0;  ///< in which it was replaced
        Piece* piece = nullptr;
        uint64_t bytes = 0;
    };
    std::deque<Kept> pieces_;
    uint64_t bytes_ = 0;
};

}  // namespace millrace::storage::qmdb::detail
