// SPDX-License-Identifier: Apache-2.0
// Owns values at earlier heights: every entry names the one before it of its key, and a block the
// keys that it removed.
#include <algorithm>
#include <string>

#include "storage/qmdb/detail/state_reader.hpp"

namespace millrace::storage::qmdb::detail {

std::shared_ptr<const std::vector<RemovedKey>>
removed_keys(std::span<const Section, shard_count> sections) {
    size_t count = 0;
    for (const Section& section : sections) { count += section.header.retired_count; }
    if (count == 0) { return nullptr; }
    auto out = std::make_shared<std::vector<RemovedKey>>();
    out->reserve(count);
    for (const Section& section : sections) {
        for (uint32_t i = 0; i < section.header.retired_count; ++i) {
            out->push_back(section.removed(i));
        }
    }
    std::ranges::sort(*out, {}, &RemovedKey::head);
    return out;
}

/// The last version at or below `height` among those that lead to this serial number.
Result<std::optional<StateEntry>> StateReader::version_at(unsigned shard, uint64_t serial,
                                                          uint64_t height) {
    for (;;) {
        reader_.release();
        MILLRACE_TRY(const StateEntry entry, reader_.read(shard, serial));
        if (entry.height <= height) { return entry; }
        if (!entry.has_previous()) { return std::nullopt; }
        serial = entry.previous();
    }
}

Result<std::optional<Bytes>> StateReader::get_at(const BlockList& list, const Hash256& key,
                                                 uint64_t height) {
    if (height == height_) { return get(key); }
    const size_t count = list.count_up_to(height);
    if (height > height_ || !list.is_kept(count)) {
        return fail(ErrorCode::not_found, "the state at height " + std::to_string(height) +
                                              " is not there; the log has those from " +
                                              std::to_string(list.oldest_height()) + " to " +
                                              std::to_string(height_));
    }
    if (is_reserved_key(key)) { return std::nullopt; }
    const auto value_of = [&](const StateEntry& entry) {
        std::optional<Bytes> value{std::in_place, entry.value.begin(), entry.value.end()};
        reader_.release();
        return value;
    };
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, forest_, shard};
    MILLRACE_TRY(const auto low, indexes_[shard]->find(key, keys));
    if (low) {
        MILLRACE_TRY(const auto entry, version_at(shard, widen(shard, *low), height));
        if (entry) { return value_of(*entry); }
    }
    // It was removed since, or was not there. The first removal after `height` ended the life that
    // it had then, or one that began later.
    const uint64_t head = load_be64(key.data());
    for (size_t i = count; i < list.blocks.size(); ++i) {
        if (list.blocks[i].removed == nullptr) { continue; }
        for (const RemovedKey& removed :
             std::ranges::equal_range(*list.blocks[i].removed, head, {}, &RemovedKey::head)) {
            MILLRACE_TRY(const StateEntry last, reader_.read(shard, removed.serial));
            if (last.key != key) { continue; }
            MILLRACE_TRY(const auto entry, version_at(shard, removed.serial, height));
            return entry ? value_of(*entry) : std::optional<Bytes>{};
        }
    }
    return std::nullopt;
}

}  // namespace millrace::storage::qmdb::detail
