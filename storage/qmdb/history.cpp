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

namespace {

std::unexpected<Error> used_up() {
    return fail(ErrorCode::limit,
                "what was asked for has changed too often since; ask for a newer state");
}

/// Whether an entry says that no key up to and with `key` follows its own.
bool leads_past(const StateEntry& entry, const Hash256& key) noexcept {
    return entry.next == link_of(sentinel_key(shard_of(key))) || link_of(key) < entry.next;
}

/// How many lists of removed keys cost as much as an entry that is read.
constexpr size_t lists_per_read = 16;
/// A neighbour with more versions says nothing sooner than the lists of removed keys do.
constexpr unsigned neighbour_versions_max = 32;

}  // namespace

Result<StateEntry> StateReader::read_version(unsigned shard, uint64_t serial, uint64_t& budget) {
    if (budget == 0) { return used_up(); }
    --budget;
    reader_.release();
    return reader_.read(shard, serial);
}

/// Among the versions that lead to this serial number.
Result<StateReader::Version> StateReader::version_at(unsigned shard, uint64_t serial,
                                                     uint64_t height, uint64_t& budget) {
    for (;;) {
        MILLRACE_TRY(const StateEntry entry, read_version(shard, serial, budget));
        if (entry.height <= height) { return Version{entry, entry.height}; }
        if (!entry.has_previous()) { return Version{std::nullopt, entry.height}; }
        serial = entry.previous();
    }
}

/// Whether the present predecessor of a key says that the key was not there after any block from
/// `from` on that is before `until`: it was there all that time, and its links led past the key.
/// Most keys that are asked for and are not there have a neighbour that did not change since.
Result<bool> StateReader::was_passed_over(const Hash256& key, uint64_t from, uint64_t until,
                                          uint64_t& budget) {
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, forest_, shard};
    MILLRACE_TRY(const auto low, indexes_[shard]->predecessor(key, keys));
    if (!low) { return no_predecessor(shard); }
    uint64_t serial = widen(shard, *low);
    for (unsigned i = 0; i < neighbour_versions_max; ++i) {
        MILLRACE_TRY(const StateEntry entry, read_version(shard, serial, budget));
        if (entry.height < until && !leads_past(entry, key)) { return false; }
        if (entry.height <= from) { return true; }
        if (!entry.has_previous()) { return false; }
        serial = entry.previous();
    }
    return false;
}

Result<std::optional<Bytes>> StateReader::get_at(const BlockList& list, const Hash256& key,
                                                 uint64_t height, uint64_t& budget) {
    if (height == height_) { return get(key); }
    MILLRACE_TRY(const size_t count, list.count_kept(height, height_));
    if (is_reserved_key(key)) { return std::nullopt; }
    const auto value_of = [&](const StateEntry& entry) {
        std::optional<Bytes> value{std::in_place, entry.value.begin(), entry.value.end()};
        reader_.release();
        return value;
    };
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, forest_, shard};
    MILLRACE_TRY(const auto low, indexes_[shard]->find(key, keys));
    uint64_t born = ~uint64_t{0};  // no version of the life that it has now is older
    if (low) {
        MILLRACE_TRY(const Version version, version_at(shard, widen(shard, *low), height, budget));
        if (version.entry) { return value_of(*version.entry); }
        born = version.born;
    }
    MILLRACE_TRY(const bool passed_over, was_passed_over(key, height, born, budget));
    if (passed_over) { return std::nullopt; }
    // It was removed since, or was not there. The first removal after `height` ended the life that
    // it had then, or one that began later.
    const uint64_t head = load_be64(key.data());
    for (size_t i = count; i < list.blocks.size(); ++i) {
        if ((i - count) % lists_per_read == 0) {
            if (budget == 0) { return used_up(); }
            --budget;
        }
        if (list.blocks[i].removed == nullptr) { continue; }
        for (const RemovedKey& removed :
             std::ranges::equal_range(*list.blocks[i].removed, head, {}, &RemovedKey::head)) {
            MILLRACE_TRY(const StateEntry last, read_version(shard, removed.serial, budget));
            if (last.key != key) { continue; }
            MILLRACE_TRY(const Version version, version_at(shard, removed.serial, height, budget));
            return version.entry ? value_of(*version.entry) : std::optional<Bytes>{};
        }
    }
    return std::nullopt;
}

}  // namespace millrace::storage::qmdb::detail
