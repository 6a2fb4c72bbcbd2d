// SPDX-License-Identifier: Apache-2.0
// Owns what one block's net writes do: which entries they append, in which order, with which links.
#include <algorithm>
#include <string>

#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

/// How many writes have their reads on their way at once.
constexpr size_t group_writes = 32;

// The rule of compaction; part of the state root.
constexpr uint64_t compaction_span_min = 4096;
constexpr uint64_t compaction_span_per_live = 8;

/// What one write can append: its entry, its predecessor's, and as many moved by compaction. Roots
/// of chunks are a quarter of a byte for each of these, and the bound for them is far from tight.
constexpr uint64_t entries_per_write_max = 4;
/// Of each shard, for its sentinel and the fixed parts of the payload.
constexpr uint64_t frame_bytes_kept = 16384;
/// The index has the lower 32 bits of serial numbers.
constexpr uint64_t live_span_max = uint64_t{1} << 32;

}  // namespace

uint64_t EngineImpl::writes_max() const noexcept {
    const uint64_t room = log_->payload_bytes_max();
    const uint64_t bytes = entries_per_write_max * stored_entry_bytes_max + sizeof(RemovedKey);
    return room < frame_bytes_kept ? 0 : (room - frame_bytes_kept) / bytes;
}

Result<void> EngineImpl::check(uint64_t height, std::span<const StateWrite> writes) const {
    const auto refuse = [](ErrorCode code, const std::string& why) {
        return fail(code, "the state engine cannot apply the block: " + why);
    };
    if (waits_) {
        return refuse(ErrorCode::conflict,
                      "block " + std::to_string(height_) + " waits for its commit");
    }
    if (cut_waits_) {
        return refuse(ErrorCode::conflict, "blocks are being taken back; call rollback again");
    }
    if (height <= height_) {
        return refuse(ErrorCode::invalid_input, "its height " + std::to_string(height) +
                                                    " is not above " + std::to_string(height_));
    }
    if (writes.size() > writes_max()) {
        return refuse(ErrorCode::limit, "it has " + std::to_string(writes.size()) +
                                            " writes; with segments of " +
                                            std::to_string(log_->segment_bytes()) +
                                            " bytes of the log, of which a block may take " +
                                            std::to_string(log_->payload_bytes_max()) +
                                            ", it may have " + std::to_string(writes_max()));
    }
    for (size_t i = 0; i < writes.size(); ++i) {
        const StateWrite& w = writes[i];
        if (i != 0 && !(writes[i - 1].key < w.key)) {
            return refuse(ErrorCode::invalid_input,
                          "write " + std::to_string(i) + " is not in strict order of keys");
        }
        if (is_reserved_key(w.key)) {
            return refuse(ErrorCode::invalid_input,
                          "write " + std::to_string(i) + " has the key of a sentinel");
        }
        if (w.value && w.value->size() > entry_value_bytes_max) {
            return refuse(ErrorCode::invalid_input, "the value of write " + std::to_string(i) +
                                                        " has " + std::to_string(w.value->size()) +
                                                        " bytes, more than " +
                                                        std::to_string(entry_value_bytes_max));
        }
    }
    return {};
}

Result<Hash256> EngineImpl::apply(uint64_t height, std::span<const StateWrite> writes) {
    if (failed_) { return std::unexpected(*failed_); }
    MILLRACE_CHECK(check(height, writes));
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t end = forest_.serial_count(shard) + entries_per_write_max * writes.size();
        if (end >= serial_max || end - forest_.first_live(shard) >= live_span_max) {
            return fail(ErrorCode::limit, "shard " + std::to_string(shard) +
                                              " of the state has no serial numbers left");
        }
    }
    release_snapshots();
    height_ = height;
    if (auto r = apply_checked(writes); !r) { return stop(std::move(r).error()); }
    waits_ = true;
    return root_;
}

Result<void> EngineImpl::apply_checked(std::span<const StateWrite> writes) {
    frame_.begin();
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const auto end = std::ranges::find_if(
            writes, [shard](const StateWrite& w) { return shard_of(w.key) != shard; });
        const auto count = static_cast<size_t>(end - writes.begin());
        MILLRACE_CHECK(apply_shard(shard, writes.first(count)));
        writes = writes.subspan(count);
    }
    return rehash();
}

Result<void> EngineImpl::apply_shard(unsigned shard, std::span<const StateWrite> writes) {
    frame_.begin_shard(shard, forest_.serial_count(shard));
    if (forest_.serial_count(shard) == 0) {
        const Hash256 key = sentinel_key(shard);
        MILLRACE_CHECK(append(shard, {Change::create, key, 0, {}, link_of(key), {}}));
    }
    MILLRACE_CHECK(plan(shard, writes));
    link();
    MILLRACE_CHECK(emit(shard));
    MILLRACE_CHECK(compact(shard));
    frame_.end_shard();
    return {};
}

Result<void> EngineImpl::plan(unsigned shard, std::span<const StateWrite> writes) {
    items_.clear();
    last_live_.reset();
    while (!writes.empty()) {
        const auto group = writes.first(std::min(writes.size(), group_writes));
        prefetch(shard, group);
        MILLRACE_CHECK(look_up(shard, group));
        MILLRACE_CHECK(add_items(shard));
        writes = writes.subspan(group.size());
    }
    return {};
}

void EngineImpl::prefetch(unsigned shard, std::span<const StateWrite> writes) const noexcept {
    const KeyIndex& index = *indexes_[shard];
    for (const StateWrite& w : writes) { index.prefetch_page(w.key); }
    for (const StateWrite& w : writes) { index.prefetch_serial(w.key); }
    uint64_t serials[group_writes];
    size_t count = 0;
    for (const StateWrite& w : writes) {
        if (const auto guess = index.guess(w.key)) { serials[count++] = widen(shard, *guess); }
    }
    for (size_t i = 0; i < count; ++i) {
        reader_->prefetch_place(shard, serials[i]);
        forest_.prefetch(shard, serials[i]);
    }
    for (size_t i = 0; i < count; ++i) { reader_->prefetch_entry(shard, serials[i]); }
}

/// Finds out what each write of a group changes, and the predecessors of what comes and goes.
Result<void> EngineImpl::look_up(unsigned shard, std::span<const StateWrite> writes) {
    const KeyIndex& index = *indexes_[shard];
    ShardKeys keys{*reader_, forest_, shard};
    lookups_.clear();
    for (const StateWrite& w : writes) {
        Lookup found;
        found.write = &w;
        MILLRACE_TRY(const auto serial, index.find(w.key, keys));
        if (serial) {
            found.serial = widen(shard, *serial);
            MILLRACE_TRY(found.entry, reader_->read(shard, found.serial));
            const bool same = w.value && std::ranges::equal(*w.value, found.entry.value);
            found.change = !w.value ? Change::erase : same ? Change::none : Change::update;
        } else {
            found.change = w.value ? Change::create : Change::none;
        }
        if (found.change == Change::create || found.change == Change::erase) {
            MILLRACE_TRY(const auto predecessor, index.predecessor(w.key, keys));
            MILLRACE_ASSERT(predecessor, "the sentinel lies before every key");
            found.predecessor = widen(shard, *predecessor);
            reader_->prefetch_place(shard, found.predecessor);
        }
        if (found.change != Change::none) { lookups_.push_back(found); }
    }
    for (const Lookup& found : lookups_) {
        if (found.change != Change::update) {
            reader_->prefetch_entry(shard, found.predecessor);
            forest_.prefetch(shard, found.predecessor);
        }
    }
    return {};
}

/// Every predecessor is the last live key of the items so far, or lies behind all of them: had a
/// created key been between the two, the predecessor would be that one's too.
Result<void> EngineImpl::add_items(unsigned shard) {
    for (const Lookup& found : lookups_) {
        const StateWrite& w = *found.write;
        if (found.change != Change::update) {
            if (last_live_ != found.predecessor) {
                MILLRACE_TRY(const StateEntry e, reader_->read(shard, found.predecessor));
                items_.push_back({Change::link, e.key, e.serial, e.next, e.next, e.value});
                last_live_ = e.serial;
            }
        }
        if (found.change != Change::create) { last_live_ = found.serial; }
        items_.push_back({found.change, w.key, found.serial, found.entry.next, found.entry.next,
                          w.value.value_or(ByteView{})});
    }
    return {};
}

/// Gives every item the successor that it has after the block.
void EngineImpl::link() noexcept {
    Item* last = nullptr;  // the largest key below that is there after the block
    for (Item& item : items_) {
        switch (item.change) {
            case Change::erase: last->next = item.old_next; break;
            case Change::create:
                item.next = last->next;
                last->next = link_of(item.key);
                last = &item;
                break;
            default: last = &item; break;
        }
    }
}

Result<void> EngineImpl::emit(unsigned shard) {
    for (const Item& item : items_) {
        if (item.change == Change::erase) {
            indexes_[shard]->erase(item.key, static_cast<uint32_t>(item.serial));
            forest_.retire(shard, item.serial);
            frame_.retire(item.serial, item.key);
            continue;
        }
        if (item.change == Change::link) {
            if (item.next == item.old_next) { continue; }
            ++relinked_;
        }
        MILLRACE_CHECK(append(shard, item));
    }
    return {};
}

/// Appends the entry of an item and makes it the live one of its key.
Result<void> EngineImpl::append(unsigned shard, const Item& item) {
    StateEntry entry;
    entry.serial = forest_.append(shard);
    entry.key = item.key;
    entry.next = item.next;
    entry.height = height_;
    entry.value = item.value;
    const auto low = static_cast<uint32_t>(entry.serial);
    if (item.change == Change::create) {
        frame_.add(entry);
        ShardKeys keys{*reader_, forest_, shard};
        return indexes_[shard]->insert(item.key, low, keys);
    }
    entry.previous_distance = entry.serial - item.serial;
    frame_.add(entry);
    indexes_[shard]->replace(item.key, static_cast<uint32_t>(item.serial), low);
    forest_.retire(shard, item.serial);
    return {};
}

Result<void> EngineImpl::compact(unsigned shard) {
    const uint64_t moves_max = frame_.section(shard).entry_count;
    Bytes value;
    for (uint64_t moved = 0; moved < moves_max; ++moved) {
        const uint64_t first = forest_.first_live(shard);
        const uint64_t span = forest_.serial_count(shard) - first;
        if (span < compaction_span_min ||
            forest_.live_count(shard) * compaction_span_per_live >= span) {
            break;
        }
        MILLRACE_TRY(const StateEntry e, reader_->read(shard, first));
        // The entry may lie in the frame, whose memory moves when it grows.
        value.assign(e.value.begin(), e.value.end());
        MILLRACE_CHECK(append(shard, {Change::link, e.key, e.serial, e.next, e.next, value}));
        ++compacted_;
    }
    return {};
}

Result<void> EngineImpl::rehash() {
    messages_.clear();
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const SectionHeader& section = frame_.section(shard);
        for (uint32_t i = 0; i < section.entry_count; ++i) {
            messages_.push_back(frame_.encoded(shard, section.first_serial + i));
        }
    }
    leaves_.resize(messages_.size());
    MILLRACE_CHECK(hash_leaves(options_.hash, options_.backend, messages_, leaves_));
    std::span<const Hash256> leaves = leaves_;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const SectionHeader& section = frame_.section(shard);
        forest_.set_leaves(shard, section.first_serial, leaves.first(section.entry_count));
        leaves = leaves.subspan(section.entry_count);
    }
    MILLRACE_TRY(root_, forest_.root());
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const SectionHeader& section = frame_.section(shard);
        const uint64_t filled = chunks_filled(section.first_serial, section.entry_count);
        for (uint64_t i = 0; i < filled; ++i) {
            frame_.add_chunk_root(
                forest_.chunk_root(shard, section.first_serial / chunk_entries + i));
        }
    }
    return {};
}

}  // namespace millrace::storage::qmdb::detail
