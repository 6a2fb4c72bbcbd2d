// SPDX-License-Identifier: Apache-2.0
// Owns reading values and finding neighbours in the newest state of an index and a tree.
#include "storage/qmdb/detail/state_reader.hpp"

#include <string>

namespace millrace::storage::qmdb::detail {

Result<ProvenState::Neighbour> StateReader::neighbour(const Hash256& key) {
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, forest_, shard};
    MILLRACE_TRY(auto low, indexes_[shard]->find(key, keys));
    const bool found = low.has_value();
    if (!found) { MILLRACE_TRY(low, indexes_[shard]->predecessor(key, keys)); }
    if (!low) { return no_predecessor(shard); }
    MILLRACE_TRY(const StateEntry entry, reader_.read(shard, widen(shard, *low)));
    return Neighbour{entry, found};
}

std::unexpected<Error> no_predecessor(unsigned shard) {
    return fail(ErrorCode::corrupt,
                "no entry of shard " + std::to_string(shard) +
                    " lies before a key; check the disk, then restore the data directory from "
                    "a backup or a replica");
}

Result<std::optional<Bytes>> StateReader::get(const Hash256& key) {
    if (is_reserved_key(key)) { return std::nullopt; }
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, forest_, shard};
    MILLRACE_TRY(const auto serial, indexes_[shard]->find(key, keys));
    if (!serial) { return std::nullopt; }
    MILLRACE_TRY(const StateEntry entry, reader_.read(shard, widen(shard, *serial)));
    Bytes value{entry.value.begin(), entry.value.end()};
    reader_.release();
    return std::optional{std::move(value)};
}

Result<void> StateReader::verify_chunk(unsigned shard, uint64_t chunk) {
    MILLRACE_TRY(const Hash256 root, prover().chunk_root(shard, chunk));
    const Hash256 node = pair_hash(forest_.hash(), root, forest_.bits(shard, chunk));
    if (node != forest_.grafted_node(shard, 0, chunk)) {
        return fail(ErrorCode::corrupt, "they do not have the hash that the tree has for them");
    }
    return {};
}

}  // namespace millrace::storage::qmdb::detail
