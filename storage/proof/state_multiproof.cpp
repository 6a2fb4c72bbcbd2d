// SPDX-License-Identifier: Apache-2.0
// Owns encoding, decoding and verification of multiproofs.
#include "storage/proof/state_multiproof.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "storage/proof/varint.hpp"

namespace millrace::storage {
namespace {

constexpr uint8_t key_follows = 1 << 5;
constexpr unsigned absent_shift = 6;
constexpr uint32_t absent_more = 3;
constexpr size_t entry_encoded_min = 5;
constexpr unsigned listed_bits_max = 30;
constexpr uint8_t listed_dead = 128;
constexpr uint8_t bits_follow = 255;

std::unexpected<Error> bad(const std::string& why) {
    return fail(ErrorCode::invalid_input, "state multiproof: " + why);
}

unsigned live_count(const ActiveBits& bits) noexcept {
    unsigned count = 0;
    for (const uint8_t byte : bits.bytes) { count += static_cast<unsigned>(std::popcount(byte)); }
    return count;
}

/// How many chunks the entries of a shard lie in.
size_t chunk_count(const StateMultiproof::Shard& shard) {
    std::vector<uint64_t> chunks;
    chunks.reserve(shard.entries.size());
    for (const auto& entry : shard.entries) { chunks.push_back(entry.serial / chunk_entries); }
    std::ranges::sort(chunks);
    const auto repeats = std::ranges::unique(chunks);
    return chunks.size() - repeats.size();
}

class Writer {
public:
    explicit Writer(Bytes& out) : out_(out) {}
    void byte(uint8_t value) { out_.push_back(value); }
    void bytes(ByteView data) { out_.insert(out_.end(), data.begin(), data.end()); }
    void number(uint64_t value) {
        uint8_t buffer[varint_bytes_max];
        bytes(ByteView{buffer, static_cast<size_t>(put_varint(value, buffer) - buffer)});
    }
    void active_bits(const ActiveBits& bits) {
        const unsigned live = live_count(bits);
        const bool lists_live = live <= listed_bits_max;
        if (!lists_live && chunk_entries - live > listed_bits_max) {
            byte(bits_follow);
            bytes(bits);
            return;
        }
        byte(static_cast<uint8_t>(lists_live ? live : listed_dead + (chunk_entries - live)));
        for (unsigned i = 0; i < chunk_entries; ++i) {
            if (is_active(bits, i) == lists_live) { byte(static_cast<uint8_t>(i)); }
        }
    }
    void entry(const StateMultiproof::Entry& e, uint64_t serial_count, uint64_t height_max) {
        const uint32_t absent = std::min(e.absent_count, absent_more);
        byte(static_cast<uint8_t>(e.link_shared_bytes | (e.key ? key_follows : 0) |
                                  absent << absent_shift));
        if (absent == absent_more) { number(e.absent_count - absent_more); }
        if (e.key) { bytes(*e.key); }
        number(serial_count - 1 - e.serial);
        number(height_max - e.height);
        number(e.previous_distance);
        bytes(e.next.view().subspan(e.link_shared_bytes));
        number(e.value.size());
        bytes(e.value);
    }

private:
    Bytes& out_;
};

/// Takes a multiproof apart; after a failure everything that follows fails too.
class Reader {
public:
    explicit Reader(ByteView data) : rest_(data) {}

    bool failed() const noexcept { return failed_; }
    size_t rest_bytes() const noexcept { return rest_.size(); }
    ByteView bytes(size_t count) {
        if (failed_ || rest_.size() < count) {
            failed_ = true;
            return {};
        }
        const ByteView out = rest_.first(count);
        rest_ = rest_.subspan(count);
        return out;
    }
    uint8_t byte() {
        const ByteView out = bytes(1);
        return out.empty() ? 0 : out[0];
    }
    /// Fails above `max`.
    uint64_t number(uint64_t max) {
        const auto value = failed_ ? std::nullopt : take_varint(rest_);
        failed_ = !value || *value > max;
        return failed_ ? 0 : *value;
    }
    ActiveBits active_bits() {
        const uint8_t head = byte();
        if (head == bits_follow) {
            const ByteView raw = bytes(Hash256::size_bytes);
            if (failed_) { return {}; }
            const ActiveBits bits = ActiveBits::from(raw);
            const unsigned live = live_count(bits);
            failed_ = live <= listed_bits_max || chunk_entries - live <= listed_bits_max;
            return bits;
        }
        const bool lists_live = head < listed_dead;
        const unsigned count = lists_live ? head : head - listed_dead;
        failed_ = failed_ || count > listed_bits_max;
        ActiveBits bits;
        if (!lists_live) { bits.bytes.fill(0xff); }
        int before = -1;
        for (unsigned i = 0; i < count && !failed_; ++i) {
            const int place = byte();
            failed_ = failed_ || place <= before;
            bits[static_cast<size_t>(place) / 8] ^= static_cast<uint8_t>(1u << place % 8);
            before = place;
        }
        return bits;
    }
    StateMultiproof::Entry entry(uint64_t serial_count, uint64_t height_max) {
        StateMultiproof::Entry e;
        const uint8_t head = byte();
        e.link_shared_bytes = head & (key_follows - 1);
        e.absent_count = head >> absent_shift;
        if (e.absent_count == absent_more) {
            e.absent_count += static_cast<uint32_t>(number(multiproof_keys_max));
        }
        if ((head & key_follows) != 0) {
            const ByteView key = bytes(Hash256::size_bytes);
            if (!failed_) { e.key = Hash256::from(key); }
            failed_ = failed_ || e.absent_count == 0;
        }
        e.serial = serial_count - 1 - number(serial_count - 1);
        e.height = height_max - number(height_max);
        e.previous_distance = number(e.serial);
        failed_ = failed_ || e.link_shared_bytes > KeyLink::size_bytes;
        if (failed_) { return e; }
        const ByteView link = bytes(KeyLink::size_bytes - e.link_shared_bytes);
        std::ranges::copy(link, e.next.bytes.begin() + e.link_shared_bytes);
        const ByteView value = bytes(number(entry_value_bytes_max));
        e.value.assign(value.begin(), value.end());
        return e;
    }

private:
    ByteView rest_;
    bool failed_ = false;
};

/// A node on the way up, with its place in its level.
struct Node {
    uint64_t place = 0;
    Hash256 hash;
};

/// Climbs from the entries of a proof to its root.
class Climb {
public:
    Climb(kernels::NodeHash hash, const NullNodes& nulls, const StateMultiproof& proof)
        : hash_(hash), nulls_(nulls), proof_(proof) {}

    /// The leaves of one shard, by place, to the shard's node.
    Result<Hash256> shard(const StateMultiproof::Shard& shard, std::vector<Node> nodes) {
        const unsigned levels = chunk_height + grafted_height(shard.serial_count);
        for (unsigned level = 0; level < levels; ++level) {
            if (level == chunk_height) {
                for (size_t i = 0; i < nodes.size(); ++i) {
                    nodes[i].hash = pair_hash(hash_, nodes[i].hash, shard.active_bits[i]);
                }
            }
            const Hash256& null =
                level < chunk_height ? nulls_.plain[level] : nulls_.grafted[level - chunk_height];
            MILLRACE_CHECK(next_level(nodes, &null));
        }
        return pair_hash(hash_, nodes.front().hash, shard_header(shard.serial_count));
    }
    /// The shards' nodes, by place, to the root. All siblings have to be used up by then.
    Result<Hash256> top(std::vector<Node> nodes) {
        for (unsigned level = 0; level < shard_bits; ++level) {
            MILLRACE_CHECK(next_level(nodes, nullptr));
        }
        if (siblings_used_ != proof_.siblings.size() ||
            nulls_used_ != proof_.null_siblings.size()) {
            return bad("there are more siblings than its entries need");
        }
        return nodes.front().hash;
    }

private:
    Result<Hash256> sibling(const Hash256* null) {
        if (null && nulls_used_ < proof_.null_siblings.size() &&
            proof_.null_siblings[nulls_used_] == passed_) {
            ++nulls_used_;
            ++passed_;
            return *null;
        }
        if (siblings_used_ == proof_.siblings.size()) { return bad("a sibling is missing"); }
        const Hash256& out = proof_.siblings[siblings_used_++];
        if (null) {
            ++passed_;
            if (out == *null) { return bad("a sibling stands for nothing and is there"); }
        }
        return out;
    }
    Result<void> next_level(std::vector<Node>& nodes, const Hash256* null) {
        size_t to = 0;
        for (size_t i = 0; i < nodes.size(); ++i) {
            const Node node = nodes[i];
            Hash256 parent;
            if (i + 1 < nodes.size() && (node.place ^ 1) == nodes[i + 1].place) {
                parent = pair_hash(hash_, node.hash, nodes[++i].hash);
            } else {
                MILLRACE_TRY(const Hash256 beside, sibling(null));
                parent = (node.place & 1) == 0 ? pair_hash(hash_, node.hash, beside)
                                               : pair_hash(hash_, beside, node.hash);
            }
            nodes[to++] = {node.place >> 1, parent};
        }
        nodes.resize(to);
        return {};
    }

    kernels::NodeHash hash_;
    const NullNodes& nulls_;
    const StateMultiproof& proof_;
    size_t siblings_used_ = 0;
    size_t nulls_used_ = 0;
    uint64_t passed_ = 0;  ///< siblings below the shards so far, null ones included
};

/// Gives the keys in question to the entries of a proof in turn.
class Answers {
public:
    Answers(std::span<const Hash256> keys) : keys_(keys) { out_.reserve(keys.size()); }

    /// The entry with its key and its whole link, after the keys that it answers are checked.
    Result<StateEntry> take(unsigned shard, const StateMultiproof::Entry& sent) {
        StateEntry entry;
        if (sent.key) {
            if (shard_of(*sent.key) != shard) { return bad("an entry is of another shard"); }
            if (next_ != 0 && *sent.key <= keys_[next_ - 1]) {
                return bad("the entries are not in the order of their keys");
            }
            entry.key = *sent.key;
        } else {
            if (next_ == keys_.size()) { return bad("it is about more keys"); }
            entry.key = keys_[next_++];
            if (shard_of(entry.key) != shard) { return bad("a key is of another shard"); }
            out_.push_back(ByteView{sent.value});
        }
        entry.serial = sent.serial;
        entry.height = sent.height;
        entry.previous_distance = sent.previous_distance;
        entry.value = sent.value;
        entry.next = sent.next;
        std::copy_n(entry.key.bytes.begin(), sent.link_shared_bytes, entry.next.bytes.begin());
        if (link_shared_bytes(entry.next, entry.key) != sent.link_shared_bytes) {
            return bad("a link shares more with its key than it says");
        }
        const bool is_last = entry.next == link_of(sentinel_key(shard));
        for (uint32_t i = 0; i < sent.absent_count; ++i) {
            if (next_ == keys_.size()) { return bad("it is about more keys"); }
            const Hash256& key = keys_[next_++];
            const bool leads_past = is_last || link_of(key) < entry.next;
            if (shard_of(key) != shard || key <= entry.key || !leads_past) {
                return bad("an entry is no neighbour of an absent key");
            }
            out_.push_back(std::nullopt);
        }
        return entry;
    }
    bool complete() const noexcept { return next_ == keys_.size(); }
    std::vector<std::optional<ByteView>> release() noexcept { return std::move(out_); }

private:
    std::span<const Hash256> keys_;
    size_t next_ = 0;
    std::vector<std::optional<ByteView>> out_;
};

}  // namespace

size_t StateMultiproof::key_count() const noexcept {
    size_t count = 0;
    for (const Shard& shard : shards) {
        for (const Entry& entry : shard.entries) {
            count += entry.absent_count + (entry.key ? 0u : 1u);
        }
    }
    return count;
}

unsigned link_shared_bytes(const KeyLink& link, const Hash256& key) noexcept {
    const auto at = std::ranges::mismatch(link.bytes, key.view().first(KeyLink::size_bytes)).in1;
    return static_cast<unsigned>(at - link.bytes.begin());
}

Result<void> check_multiproof_keys(std::span<const Hash256> keys) {
    if (keys.empty() || keys.size() > multiproof_keys_max) {
        return bad("it answers 1 to " + std::to_string(multiproof_keys_max) + " keys, not " +
                   std::to_string(keys.size()));
    }
    for (size_t i = 0; i < keys.size(); ++i) {
        if (is_reserved_key(keys[i])) { return bad("no value can have this key"); }
        if (i != 0 && keys[i] <= keys[i - 1]) { return bad("the keys do not ascend"); }
    }
    return {};
}

void encode_state_multiproof(const StateMultiproof& proof, Bytes& out) {
    uint64_t height_max = 0;
    uint16_t mask = 0;
    for (const auto& shard : proof.shards) {
        mask |= static_cast<uint16_t>(1u << shard.index);
        for (const auto& e : shard.entries) { height_max = std::max(height_max, e.height); }
    }
    Writer to{out};
    to.byte(static_cast<uint8_t>(mask >> 8));
    to.byte(static_cast<uint8_t>(mask));
    to.number(height_max);
    for (const auto& shard : proof.shards) {
        MILLRACE_ASSERT(!shard.entries.empty() && shard.active_bits.size() == chunk_count(shard),
                        "a proof is whole");
        to.number(shard.serial_count);
        to.number(shard.entries.size());
        for (const auto& e : shard.entries) { to.entry(e, shard.serial_count, height_max); }
        for (const ActiveBits& bits : shard.active_bits) { to.active_bits(bits); }
    }
    to.number(proof.null_siblings.size());
    uint64_t before = ~uint64_t{0};
    for (const uint64_t null : proof.null_siblings) {
        to.number(null - before - 1);
        before = null;
    }
    for (const Hash256& sibling : proof.siblings) { to.bytes(sibling); }
}

Result<StateMultiproof> decode_state_multiproof(ByteView data) {
    Reader from{data};
    StateMultiproof proof;
    const unsigned mask = static_cast<unsigned>(from.byte()) << 8;
    const unsigned shards = mask | from.byte();
    const uint64_t height_max = from.number(~uint64_t{0});
    bool reaches_max = false;
    for (unsigned i = 0; i < shard_count && !from.failed(); ++i) {
        if ((shards >> i & 1) == 0) { continue; }
        StateMultiproof::Shard& shard = proof.shards.emplace_back();
        shard.index = static_cast<uint8_t>(i);
        shard.serial_count = from.number(serial_max);
        const uint64_t entries = from.number(multiproof_keys_max);
        if (shard.serial_count == 0 || entries == 0) { return bad("a shard has no entries"); }
        shard.entries.reserve(std::min(entries, from.rest_bytes() / entry_encoded_min));
        for (uint64_t k = 0; k < entries && !from.failed(); ++k) {
            shard.entries.push_back(from.entry(shard.serial_count, height_max));
            reaches_max = reaches_max || shard.entries.back().height == height_max;
        }
        if (from.failed()) { break; }
        const size_t chunks = chunk_count(shard);
        shard.active_bits.reserve(std::min(chunks, from.rest_bytes()));
        for (size_t k = 0; k < chunks && !from.failed(); ++k) {
            shard.active_bits.push_back(from.active_bits());
        }
    }
    const uint64_t nulls = from.number(from.rest_bytes());
    uint64_t next = 0;
    for (uint64_t i = 0; i < nulls && !from.failed(); ++i) {
        next += from.number(serial_max);
        proof.null_siblings.push_back(next++);
    }
    if (from.failed() || proof.shards.empty() || !reaches_max) {
        return bad("it is cut off or not encoded as it must be");
    }
    if (proof.key_count() > multiproof_keys_max) { return bad("it answers too many keys"); }
    if (from.rest_bytes() % Hash256::size_bytes != 0) { return bad("a sibling is cut off"); }
    proof.siblings.reserve(from.rest_bytes() / Hash256::size_bytes);
    while (from.rest_bytes() != 0) {
        proof.siblings.push_back(Hash256::from(from.bytes(Hash256::size_bytes)));
    }
    return proof;
}

Result<std::vector<std::optional<ByteView>>>
StateMultiproofVerifier::verify(const Hash256& root, std::span<const Hash256> keys,
                                const StateMultiproof& proof) const {
    MILLRACE_CHECK(check_multiproof_keys(keys));
    Answers answers{keys};
    Climb climb{hash_, nulls_, proof};
    std::vector<Node> tops;
    Bytes encoded(entry_bytes_bound(entry_value_bytes_max));
    for (const StateMultiproof::Shard& shard : proof.shards) {
        if (shard.index >= shard_count || (!tops.empty() && tops.back().place >= shard.index) ||
            shard.serial_count == 0 || shard.serial_count > serial_max || shard.entries.empty()) {
            return bad("it has a shard that cannot be");
        }
        std::vector<Node> nodes;
        nodes.reserve(shard.entries.size());
        for (const auto& sent : shard.entries) {
            if (sent.serial >= shard.serial_count || sent.previous_distance > sent.serial ||
                sent.value.size() > entry_value_bytes_max ||
                sent.link_shared_bytes > KeyLink::size_bytes) {
                return bad("it has an entry that cannot be");
            }
            MILLRACE_TRY(const StateEntry entry, answers.take(shard.index, sent));
            const size_t bytes = encode_entry(entry, encoded.data());
            nodes.push_back({entry.serial, leaf_hash(hash_, ByteView{encoded}.first(bytes))});
        }
        std::ranges::sort(nodes, {}, &Node::place);
        size_t chunk = 0;
        for (size_t i = 0; i < nodes.size(); ++i) {
            const uint64_t serial = nodes[i].place;
            if (i != 0) {
                const uint64_t before = nodes[i - 1].place;
                if (serial == before) { return bad("two entries have one place"); }
                chunk += serial / chunk_entries != before / chunk_entries ? 1 : 0;
            }
            if (chunk == shard.active_bits.size()) { return bad("ActiveBits are missing"); }
            if (!is_active(shard.active_bits[chunk], serial)) {
                return bad("an entry is not live");
            }
        }
        if (chunk + 1 != shard.active_bits.size()) { return bad("it has ActiveBits of no entry"); }
        MILLRACE_TRY(const Hash256 node, climb.shard(shard, std::move(nodes)));
        tops.push_back({shard.index, node});
    }
    if (tops.empty() || !answers.complete()) { return bad("it leaves keys without an answer"); }
    MILLRACE_TRY(const Hash256 reached, climb.top(std::move(tops)));
    if (reached != root) { return bad("it leads to another root"); }
    return answers.release();
}

}  // namespace millrace::storage
