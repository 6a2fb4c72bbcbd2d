// SPDX-License-Identifier: Apache-2.0
// Owns look-ups in the index of a shard, and how its pages split, merge and become trees.
#include "storage/qmdb/key_index.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "storage/proof/entry.hpp"
#include "storage/qmdb/detail/index_page.hpp"

namespace millrace::storage::qmdb {

namespace {

using detail::CrowdedKeys;
using detail::IndexPage;

constexpr uint32_t page_entries_max = 128;
/// Pages grow by this many entries.
constexpr uint32_t capacity_step = 8;
/// An overfull page that must not be split becomes a tree here, and an array again at half of it.
constexpr uint32_t crowded_entries = 1024;
/// Pages up to this size are merged when the result has at most half a page.
constexpr uint32_t sparse_entries = 24;
/// The directory doubles only when there are this many keys for each slot. Evenly spread keys fill
/// the first page at about twice as many.
constexpr uint64_t keys_per_slot_min = 48;
/// Beyond this the 64 bits of a path would not hold fingerprints of the deepest pages.
constexpr unsigned depth_max = 40;
constexpr unsigned fingerprint_bits = 16;
/// With fewer bits left, one look-up in twenty would meet a second key.
constexpr unsigned fingerprint_bits_min = 11;

constexpr uint32_t capacity_for(uint32_t entries) noexcept {
    return (entries + capacity_step - 1) / capacity_step * capacity_step;
}

/// The 64 bits of the key after those that all keys share.
uint64_t path_after(unsigned shared_bits, const Hash256& key) noexcept {
    const uint64_t head = load_be64(key.data());
    return shared_bits == 0 ? head : head << shared_bits | key[8] >> (8 - shared_bits);
}

uint32_t entries_of(const IndexPage& page) noexcept {
    return page.crowded == nullptr ? page.count : static_cast<uint32_t>(page.crowded->size());
}

/// Frees a page that did not make it into the directory.
struct PageDeleter {
    void operator()(IndexPage* page) const noexcept {
        delete page->crowded;
        ::operator delete(page);
    }
};
using OwnedPage = std::unique_ptr<IndexPage, PageDeleter>;

OwnedPage make_page(uint32_t capacity) {
    void* const memory = ::operator new(IndexPage::bytes_for(capacity));
    auto* const page = new (memory) IndexPage{};
    page->capacity = static_cast<uint16_t>(capacity);
    return OwnedPage{page};
}

uint64_t bytes_of(const IndexPage& page) noexcept {
    return IndexPage::bytes_for(page.capacity) +
           (page.crowded == nullptr ? 0 : page.crowded->bytes());
}

/// Replaces the fingerprints by those at the page's own depth.
Result<void> refresh(IndexPage& page, unsigned shared_bits, KeySource& source) {
    page.base = page.depth;
    for (uint32_t i = 0; i < page.count; ++i) {
        MILLRACE_TRY(const Hash256 key, source.key_of(page.serials()[i]));
        page.fingerprints()[i] = page.fingerprint(path_after(shared_bits, key));
    }
    return {};
}

/// The page of these keys: arrays if they are few enough, else the tree that they are in.
OwnedPage page_of_keys(CrowdedKeys keys, unsigned depth, unsigned shared_bits) {
    const bool stays = keys.size() > crowded_entries / 2;
    OwnedPage page = make_page(stays ? 0 : capacity_for(static_cast<uint32_t>(keys.size())));
    page->depth = page->base = static_cast<uint8_t>(depth);
    if (stays) {
        page->crowded = new CrowdedKeys{std::move(keys)};
        return page;
    }
    keys.for_each([&](const CrowdedKeys::Item& item) {
        const uint16_t fingerprint = page->fingerprint(path_after(shared_bits, item.key));
        page->insert_at(page->count, fingerprint, item.serial);
    });
    return page;
}

struct Halves {
    OwnedPage left;
    OwnedPage right;
};

Halves split_tree(const IndexPage& page, unsigned shared_bits) {
    auto [left, right] = page.crowded->split([&](const Hash256& key) {
        return (path_after(shared_bits, key) << page.depth >> 63) != 0;
    });
    return {page_of_keys(std::move(left), page.depth + 1u, shared_bits),
            page_of_keys(std::move(right), page.depth + 1u, shared_bits)};
}

Result<Halves> split_arrays(const IndexPage& page, unsigned shared_bits, KeySource& source) {
    const unsigned mask = 0x8000u >> (page.depth - page.base);
    const uint16_t* const begin = page.fingerprints();
    const auto middle =
        static_cast<uint32_t>(std::partition_point(begin, begin + page.count,
                                                   [mask](uint16_t f) { return (f & mask) == 0; }) -
                              begin);
    Halves halves{make_page(capacity_for(middle)), make_page(capacity_for(page.count - middle))};
    halves.left->append(page, 0, middle);
    halves.right->append(page, middle, page.count);
    for (IndexPage* half : {halves.left.get(), halves.right.get()}) {
        half->depth = static_cast<uint8_t>(page.depth + 1);
        half->base = page.base;
        if (fingerprint_bits - (half->depth - half->base) < fingerprint_bits_min) {
            MILLRACE_CHECK(refresh(*half, shared_bits, source));
        }
    }
    return halves;
}

/// Keys that share their first 8 bytes.
Result<void> sort_by_key(std::span<KeyIndex::Loaded> keys, KeySource& source) {
    if (keys.size() < 2) { return {}; }
    std::vector<std::pair<Hash256, KeyIndex::Loaded>> whole;
    for (const KeyIndex::Loaded& key : keys) {
        MILLRACE_TRY(const Hash256 read, source.key_of(key.serial));
        whole.emplace_back(read, key);
    }
    std::ranges::sort(whole, {}, &std::pair<Hash256, KeyIndex::Loaded>::first);
    for (size_t i = 0; i < keys.size(); ++i) { keys[i] = whole[i].second; }
    return {};
}

}  // namespace

KeyIndex::KeyIndex(unsigned shared_bits) : IndexView(shared_bits) {
    MILLRACE_ASSERT(shared_bits <= 8, "a path is taken from nine bytes of the key");
    OwnedPage page = make_page(capacity_step);
    page->epoch = epochs_.current;
    page_bytes_ = bytes_of(*page);
    slots_.push_back(page.release());
}

KeyIndex::~KeyIndex() {
    drop_all();
    limbo_.release({}, PageDeleter{});
}

void KeyIndex::drop_all() {
    for (size_t slot = 0; slot < slots_.size();) {
        Page* const page = slots_[slot];
        slot += slot_span(*page);
        drop(page);
    }
    slots_.clear();
    depth_ = 0;
    size_ = 0;
}

void KeyIndex::set_epochs(const detail::Epochs& epochs) {
    epochs_ = epochs;
    limbo_.release(epochs, PageDeleter{});
}

/// The page of the slot, copied if a view has it too.
IndexPage& KeyIndex::writable(size_t slot) {
    Page* const page = slots_[slot];
    if (page->epoch > epochs_.pinned_newest) { return *page; }
    OwnedPage copy = make_page(page->capacity);
    copy->depth = page->depth;
    copy->base = page->base;
    copy->append(*page, 0, page->count);
    copied_bytes_ += IndexPage::bytes_for(page->capacity);
    if (page->crowded != nullptr) {
        copy->crowded = new CrowdedKeys{*page->crowded};
        copied_bytes_ += page->crowded->copy_bytes();
    }
    const size_t first = first_slot(slot);
    const size_t span = slot_span(*page);
    drop(page);
    install(first, span, copy.release());
    return *slots_[slot];
}

/// Changes the tree of a writable page.
template <class Change>
void KeyIndex::change_tree(Page& page, Change&& change) {
    page_bytes_ -= bytes_of(page);
    change(*page.crowded);
    page_bytes_ += bytes_of(page);
}

uint64_t IndexView::path_of(const Hash256& key) const noexcept {
    return path_after(shared_bits_, key);
}

size_t IndexView::slot_of(uint64_t path) const noexcept {
    return depth_ == 0 ? 0 : path >> (64 - depth_);
}

size_t IndexView::slot_span(const Page& page) const noexcept {
    return size_t{1} << (depth_ - page.depth);
}

size_t IndexView::first_slot(size_t slot) const noexcept {
    return slot & ~(slot_span(*slots_[slot]) - 1);
}

void IndexView::prefetch_page(const Hash256& key) const noexcept {
    const auto* const page = reinterpret_cast<const uint8_t*>(slots_[slot_of(path_of(key))]);
    // The fingerprints of a page of common size.
    for (size_t line = 0; line < 4; ++line) { __builtin_prefetch(page + 64 * line); }
}

void IndexView::prefetch_serial(const Hash256& key) const noexcept {
    const uint64_t path = path_of(key);
    const Page& page = *slots_[slot_of(path)];
    __builtin_prefetch(page.serials() + page.lower_bound(page.fingerprint(path)));
}

std::optional<uint32_t> IndexView::guess(const Hash256& key) const noexcept {
    const uint64_t path = path_of(key);
    const Page& page = *slots_[slot_of(path)];
    const uint32_t at = page.lower_bound(page.fingerprint(path));
    if (at == page.count) { return std::nullopt; }
    return page.serials()[at];
}

Result<IndexView::Place> IndexView::locate(const Hash256& key, KeySource& source) const {
    const uint64_t path = path_of(key);
    Place place{slot_of(path), 0, false};
    const Page& page = *slots_[place.slot];
    if (page.crowded != nullptr) { return place; }
    const uint16_t fingerprint = page.fingerprint(path);
    place.at = page.lower_bound(fingerprint);
    uint32_t end = page.run_end(place.at, fingerprint);
    while (place.at < end) {
        const uint32_t middle = place.at + (end - place.at) / 2;
        MILLRACE_TRY(const Hash256 other, source.key_of(page.serials()[middle]));
        if (other == key) {
            place.at = middle;
            place.found = true;
            break;
        }
        if (other < key) {
            place.at = middle + 1;
        } else {
            end = middle;
        }
    }
    return place;
}

Result<std::optional<uint32_t>> IndexView::find(const Hash256& key, KeySource& source) const {
    MILLRACE_TRY(const Place place, locate(key, source));
    const Page& page = *slots_[place.slot];
    if (page.crowded != nullptr) {
        const auto* const item = page.crowded->find(key);
        return item == nullptr ? std::nullopt : std::optional{item->serial};
    }
    return place.found ? std::optional{page.serials()[place.at]} : std::nullopt;
}

Result<std::optional<uint32_t>> IndexView::predecessor(const Hash256& key,
                                                       KeySource& source) const {
    MILLRACE_TRY(const Place place, locate(key, source));
    const Page* page = slots_[place.slot];
    if (page->crowded != nullptr) {
        if (const auto* const item = page->crowded->below(key)) { return item->serial; }
    } else if (place.at != 0) {
        return std::optional{page->serials()[place.at - 1]};
    }
    // Sparse pages are merged, so empty ones do not follow each other at one depth.
    for (size_t slot = first_slot(place.slot); slot != 0; slot = first_slot(slot - 1)) {
        page = slots_[slot - 1];
        if (page->crowded != nullptr) { return page->crowded->last().serial; }
        if (page->count != 0) { return std::optional{page->serials()[page->count - 1]}; }
    }
    return std::nullopt;
}

Result<std::optional<uint32_t>>
IndexView::predecessor_if(const Hash256& key, KeySource& source,
                          const std::function<bool(uint32_t)>& counts) const {
    MILLRACE_TRY(const Place place, locate(key, source));
    const auto in_array = [&](const Page& page, uint32_t end) -> std::optional<uint32_t> {
        for (uint32_t at = end; at-- != 0;) {
            if (counts(page.serials()[at])) { return page.serials()[at]; }
        }
        return std::nullopt;
    };
    const auto in_crowd = [&](const detail::CrowdedKeys::Item* item,
                              const detail::CrowdedKeys& crowd) -> std::optional<uint32_t> {
        for (; item != nullptr; item = crowd.below(item->key)) {
            if (counts(item->serial)) { return item->serial; }
        }
        return std::nullopt;
    };
    const Page* page = slots_[place.slot];
    auto found = page->crowded != nullptr ? in_crowd(page->crowded->below(key), *page->crowded)
                                          : in_array(*page, place.at);
    for (size_t slot = first_slot(place.slot); !found && slot != 0; slot = first_slot(slot - 1)) {
        page = slots_[slot - 1];
        found = page->crowded != nullptr ? in_crowd(&page->crowded->last(), *page->crowded)
                                         : in_array(*page, page->count);
    }
    return found;
}

Result<std::optional<uint32_t>> IndexView::successor(const Hash256& key, KeySource& source) const {
    MILLRACE_TRY(const Place place, locate(key, source));
    const Page* page = slots_[place.slot];
    const uint32_t at = place.at + (place.found ? 1 : 0);
    if (page->crowded != nullptr) {
        if (const auto* const item = page->crowded->above(key)) { return item->serial; }
    } else if (at < page->count) {
        return std::optional{page->serials()[at]};
    }
    for (size_t slot = first_slot(place.slot) + slot_span(*page); slot < slots_.size();
         slot += slot_span(*page)) {
        page = slots_[slot];
        if (page->crowded != nullptr) { return page->crowded->first().serial; }
        if (page->count != 0) { return std::optional{page->serials()[0]}; }
    }
    return std::nullopt;
}

/// Whether the page may be split, after the directory was doubled if that is due.
bool KeyIndex::make_room_to_split(const Page& page) {
    if (page.depth < depth_) { return true; }
    if (depth_ == depth_max || size_ < slots_.size() * keys_per_slot_min) { return false; }
    std::vector<Page*> doubled(slots_.size() * 2);
    for (size_t i = 0; i < doubled.size(); ++i) { doubled[i] = slots_[i / 2]; }
    slots_ = std::move(doubled);
    ++depth_;
    return true;
}

/// Puts the page in the place of what its slots name; the caller frees that.
void KeyIndex::install(size_t first, size_t span, Page* page) noexcept {
    page->epoch = epochs_.current;
    std::fill_n(slots_.begin() + static_cast<ptrdiff_t>(first), span, page);
    page_bytes_ += bytes_of(*page);
}

void KeyIndex::drop(Page* page) {
    page_bytes_ -= bytes_of(*page);
    if (page->epoch > epochs_.pinned_newest) {
        PageDeleter{}(page);
    } else {
        limbo_.add(page, epochs_.current, bytes_of(*page));
    }
}

Result<void> KeyIndex::split(size_t slot, KeySource& source) {
    Page* const page = slots_[slot];
    Halves halves;
    if (page->crowded != nullptr) {
        halves = split_tree(*page, shared_bits_);
    } else {
        MILLRACE_TRY(halves, split_arrays(*page, shared_bits_, source));
    }
    const size_t first = first_slot(slot);
    const size_t half = slot_span(*page) / 2;
    drop(page);
    install(first, half, halves.left.release());
    install(first + half, half, halves.right.release());
    return {};
}

Result<void> KeyIndex::make_tree(size_t slot, KeySource& source) {
    Page* const page = slots_[slot];
    CrowdedKeys keys;
    for (uint32_t i = 0; i < page->count; ++i) {
        MILLRACE_TRY(const Hash256 key, source.key_of(page->serials()[i]));
        keys.append(key, page->serials()[i]);
    }
    OwnedPage tree = page_of_keys(std::move(keys), page->depth, shared_bits_);
    const size_t first = first_slot(slot);
    const size_t span = slot_span(*page);
    drop(page);
    install(first, span, tree.release());
    return {};
}

/// Gives the page arrays of another capacity.
void KeyIndex::resize(size_t slot, uint32_t capacity) {
    Page* const page = slots_[slot];
    OwnedPage resized = make_page(capacity);
    resized->depth = page->depth;
    resized->base = page->base;
    resized->append(*page, 0, page->count);
    const size_t first = first_slot(slot);
    const size_t span = slot_span(*page);
    drop(page);
    install(first, span, resized.release());
}

Result<void> KeyIndex::load(std::span<const Loaded> keys, KeySource& source) {
    MILLRACE_ASSERT(size_ == 0 && depth_ == 0, "only an empty index is loaded");
    drop_all();
    auto loaded = load_pages(keys, source);
    if (!loaded) {
        drop_all();
        slots_.resize(1);
        install(0, 1, make_page(capacity_step).release());
    }
    return loaded;
}

Result<void> KeyIndex::load_pages(std::span<const Loaded> keys, KeySource& source) {
    while (depth_ < depth_max && (keys.size() >> depth_) > 2 * keys_per_slot_min) { ++depth_; }
    const size_t slots = size_t{1} << depth_;
    // By slots, each of which is then sorted within the cache.
    const auto slot_of_head = [this](uint64_t head) { return slot_of(head << shared_bits_); };
    std::vector<size_t> ends(slots + 1);
    for (const Loaded& key : keys) { ++ends[slot_of_head(key.head) + 1]; }
    for (size_t slot = 0; slot < slots; ++slot) { ends[slot + 1] += ends[slot]; }
    std::vector<Loaded> by_slot(keys.size());
    for (const Loaded& key : keys) { by_slot[ends[slot_of_head(key.head)]++] = key; }
    std::vector<Loaded> left;
    slots_.reserve(slots);
    while (slots_.size() < slots) {
        const size_t slot = slots_.size();
        const size_t from = slot == 0 ? 0 : ends[slot - 1];
        const std::span<Loaded> page = std::span{by_slot}.subspan(from, ends[slot] - from);
        MILLRACE_TRY(const bool loaded, load_page(page, source));
        if (!loaded) { left.insert(left.end(), page.begin(), page.end()); }
    }
    for (const Loaded& key : left) {
        MILLRACE_TRY(const Hash256 whole, source.key_of(key.serial));
        MILLRACE_CHECK(insert(whole, key.serial, source));
    }
    return {};
}

/// Adds the next slot with the page of its keys; leaves it empty and says so when they are too
/// many.
Result<bool> KeyIndex::load_page(std::span<Loaded> keys, KeySource& source) {
    const bool fits = keys.size() <= page_entries_max;
    OwnedPage page =
        make_page(fits ? capacity_for(static_cast<uint32_t>(keys.size())) : capacity_step);
    page->depth = page->base = static_cast<uint8_t>(depth_);
    if (fits) {
        std::ranges::sort(keys, {}, &Loaded::head);
        for (size_t i = 0; i < keys.size();) {
            size_t end = i + 1;
            while (end < keys.size() && keys[end].head == keys[i].head) { ++end; }
            MILLRACE_CHECK(sort_by_key(keys.subspan(i, end - i), source));
            i = end;
        }
        for (const Loaded& key : keys) {
            page->insert_at(page->count, page->fingerprint(key.head << shared_bits_), key.serial);
        }
        size_ += keys.size();
    }
    slots_.push_back(nullptr);
    install(slots_.size() - 1, 1, page.release());
    return fits;
}

Result<void> KeyIndex::insert(const Hash256& key, uint32_t serial, KeySource& source) {
    const uint64_t path = path_of(key);
    while (entries_of(*slots_[slot_of(path)]) >= page_entries_max &&
           make_room_to_split(*slots_[slot_of(path)])) {
        MILLRACE_CHECK(split(slot_of(path), source));
    }
    if (slots_[slot_of(path)]->count == crowded_entries) {
        MILLRACE_CHECK(make_tree(slot_of(path), source));
    }
    MILLRACE_TRY(const Place place, locate(key, source));
    if (Page& found = writable(place.slot); found.crowded != nullptr) {
        change_tree(found, [&](CrowdedKeys& tree) { tree.insert(key, serial, copied_bytes_); });
    } else {
        MILLRACE_ASSERT(!place.found, "the key is not there");
        const uint32_t capacity = slots_[place.slot]->capacity;
        if (slots_[place.slot]->count == capacity) { resize(place.slot, capacity + capacity_step); }
        Page& page = *slots_[place.slot];
        page.insert_at(place.at, page.fingerprint(path), serial);
    }
    ++size_;
    return {};
}

/// The place of a key that is there with this serial number, without reading the key.
uint32_t KeyIndex::place_of(const Page& page, uint64_t path, uint32_t serial) const noexcept {
    const uint16_t fingerprint = page.fingerprint(path);
    uint32_t at = page.lower_bound(fingerprint);
    while (at < page.count && page.fingerprints()[at] == fingerprint &&
           page.serials()[at] != serial) {
        ++at;
    }
    MILLRACE_ASSERT(at < page.count && page.fingerprints()[at] == fingerprint,
                    "the key is there with this serial number");
    return at;
}

void KeyIndex::replace(const Hash256& key, uint32_t before, uint32_t after) {
    const uint64_t path = path_of(key);
    Page& page = writable(slot_of(path));
    if (page.crowded != nullptr) {
        page.crowded->replace(key, before, after, copied_bytes_);
        return;
    }
    page.serials()[place_of(page, path, before)] = after;
}

void KeyIndex::erase(const Hash256& key, uint32_t serial) {
    const uint64_t path = path_of(key);
    const size_t slot = slot_of(path);
    Page& page = writable(slot);
    --size_;
    if (page.crowded != nullptr) {
        change_tree(page, [&](CrowdedKeys& tree) { tree.erase(key, serial, copied_bytes_); });
        if (page.crowded->size() > crowded_entries / 2) { return; }
        OwnedPage arrays = page_of_keys(*page.crowded, page.depth, shared_bits_);
        const size_t first = first_slot(slot);
        const size_t span = slot_span(page);
        drop(&page);
        install(first, span, arrays.release());
        return;
    }
    page.erase_at(place_of(page, path, serial));
    if (page.capacity >= page.count + 3 * capacity_step) {
        resize(slot, capacity_for(page.count) + capacity_step);
    }
    merge_with_buddies(slot);
}

void KeyIndex::merge_with_buddies(size_t slot) {
    for (;;) {
        const size_t first = first_slot(slot);
        Page* const page = slots_[first];
        if (page->depth == 0 || page->crowded != nullptr || page->count > sparse_entries) {
            return;
        }
        const size_t span = slot_span(*page);
        Page* const buddy = slots_[first ^ span];
        if (buddy->crowded != nullptr || buddy->depth != page->depth ||
            page->count + buddy->count > page_entries_max / 2) {
            return;
        }
        Page* const left = &writable(first & ~span);
        Page* const right = &writable(first | span);
        const unsigned depth = page->depth - 1u;
        const auto base =
            static_cast<uint8_t>(std::min<unsigned>({left->base, right->base, depth}));
        const size_t merged_first = first & ~span;
        OwnedPage merged =
            make_page(capacity_for(uint32_t{left->count} + right->count) + capacity_step);
        left->rebase_down(base, uint64_t{merged_first} << (64 - depth_));
        right->rebase_down(base, uint64_t{merged_first | span} << (64 - depth_));
        merged->depth = static_cast<uint8_t>(depth);
        merged->base = base;
        merged->append(*left, 0, left->count);
        merged->append(*right, 0, right->count);
        drop(left);
        drop(right);
        install(merged_first, 2 * span, merged.release());
    }
}

}  // namespace millrace::storage::qmdb
