// SPDX-License-Identifier: Apache-2.0
// Owns the index of a shard: from key hashes, in their order, to serial numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/qmdb/detail/epochs.hpp"

namespace millrace::storage::qmdb {

/// Where the index finds the keys that it does not hold itself: the entry log.
class KeySource {
public:
    virtual ~KeySource() = default;
    /// The whole key of an indexed serial number.
    virtual Result<Hash256> key_of(uint32_t serial) = 0;
};

namespace detail {
struct IndexPage;
}

/// Look-ups in an index. A copy of that of an index is what it is now: it may be used on any thread
/// as long as the index is told by set_epochs() that it is pinned.
///
/// The serial numbers are those of a shard modulo 2^32.
class IndexView {
public:
    /// The serial number of a key, or nothing.
    Result<std::optional<uint32_t>> find(const Hash256& key, KeySource& source) const;
    /// That of the largest key below `key`, which need not be there itself.
    Result<std::optional<uint32_t>> predecessor(const Hash256& key, KeySource& source) const;
    /// As predecessor(), among those whose serial number `counts`. Looks at all between.
    Result<std::optional<uint32_t>>
    predecessor_if(const Hash256& key, KeySource& source,
                   const std::function<bool(uint32_t)>& counts) const;
    /// That of the smallest key above `key`.
    Result<std::optional<uint32_t>> successor(const Hash256& key, KeySource& source) const;

    // The stages of a look-up as hints: each fetches what the next one reads, so that many keys can
    // be on their way at once.
    void prefetch_page(const Hash256& key) const noexcept;
    void prefetch_serial(const Hash256& key) const noexcept;
    /// The serial number that find() is going to look at first; may belong to another key.
    std::optional<uint32_t> guess(const Hash256& key) const noexcept;
    /// What a copy of this takes for itself.
    uint64_t view_bytes() const noexcept { return slots_.size() * sizeof(void*); }

protected:
    using Page = detail::IndexPage;
    struct Place {
        size_t slot = 0;
        uint32_t at = 0;  ///< of the first entry not below the key
        bool found = false;
    };

    explicit IndexView(unsigned shared_bits) noexcept : shared_bits_(shared_bits) {}
    uint64_t path_of(const Hash256& key) const noexcept;
    size_t slot_of(uint64_t path) const noexcept;
    size_t first_slot(size_t slot) const noexcept;
    size_t slot_span(const Page& page) const noexcept;
    Result<Place> locate(const Hash256& key, KeySource& source) const;

    unsigned shared_bits_;
    unsigned depth_ = 0;  ///< there are 2^depth_ slots
    std::vector<Page*> slots_;
};

/// An ordered map in about 6.5 bytes per key: 16 bits of the key and 32 of the serial number.
///
/// A directory of 2^d slots is addressed by the first bits of the key after those that all keys
/// share; a slot names a page, and a page stands for as many slots as it is shallower than the
/// directory (extendible hashing with the order of keys kept). A page has its keys in order, each
/// by the 16 bits that follow the page's own at the time when these were read; keys with equal
/// fingerprints are told apart by the log. It grows page by page: an insert splits one page at
/// most d times or doubles the directory, which copies its pointers; nothing is ever rehashed as a
/// whole. Fingerprints lose one bit with every split and are read anew from the log when few are
/// left, once for 32-fold growth.
///
/// Keys that were ground to share a prefix cannot deepen the directory, whose size follows the
/// number of keys. Their page outgrows the others, and from 1,024 keys on has whole keys, in leaves
/// of at most 512. So a look-up reads at most ten keys from the log whatever the keys are, and a
/// change beside a pinned view copies one leaf, 16 bytes for each other one, and nothing else.
///
/// One thread at a time. What fails with the error of the key source leaves the index as it was.
class KeyIndex : public IndexView {
public:
    /// All keys share their first `shared_bits` bits, at most 8.
    explicit KeyIndex(unsigned shared_bits);
    ~KeyIndex();
    KeyIndex(const KeyIndex&) = delete;
    KeyIndex& operator=(const KeyIndex&) = delete;

    /// A key of load(), by its first 8 bytes, big-endian.
    struct Loaded {
        uint64_t head = 0;
        uint32_t serial = 0;
    };
    /// Fills an empty index with different keys, in any order; reads from the source only those
    /// that share their first 8 bytes and those of overfull pages.
    Result<void> load(std::span<const Loaded> keys, KeySource& source);
    /// Adds a key that is not there.
    Result<void> insert(const Hash256& key, uint32_t serial, KeySource& source);
    /// Gives a key that is there with `before` another serial number.
    void replace(const Hash256& key, uint32_t before, uint32_t after);
    /// Removes a key that is there with `serial`.
    void erase(const Hash256& key, uint32_t serial);

    /// From now on copies pages of pinned views before it changes them, and frees those that no
    /// view needs any more.
    void set_epochs(const detail::Epochs& epochs);

    uint64_t size() const noexcept { return size_; }
    /// Bytes that were copied since the start because pinned views had them too.
    uint64_t copied_bytes() const noexcept { return copied_bytes_; }
    /// Memory taken, without the allocator's own and without pages that only views have.
    uint64_t bytes() const noexcept { return page_bytes_ + slots_.capacity() * sizeof(void*); }
    /// Memory of the pages that only views have; leaves of crowded pages that are shared with the
    /// index count once more.
    uint64_t kept_bytes() const noexcept { return limbo_.bytes(); }

private:
    bool make_room_to_split(const Page& page);
    Page& writable(size_t slot);
    template <class Change>
    void change_tree(Page& page, Change&& change);
    Result<void> split(size_t slot, KeySource& source);
    Result<void> load_pages(std::span<const Loaded> keys, KeySource& source);
    Result<bool> load_page(std::span<Loaded> keys, KeySource& source);
    void drop_all();
    Result<void> make_tree(size_t slot, KeySource& source);
    void resize(size_t slot, uint32_t capacity);
    uint32_t place_of(const Page& page, uint64_t path, uint32_t serial) const noexcept;
    void install(size_t first, size_t span, Page* page) noexcept;
    void merge_with_buddies(size_t slot);
    void drop(Page* page);

    uint64_t size_ = 0;
    uint64_t page_bytes_ = 0;
    uint64_t copied_bytes_ = 0;
    detail::Epochs epochs_;
    detail::Limbo<Page> limbo_;
};

}  // namespace millrace::storage::qmdb
