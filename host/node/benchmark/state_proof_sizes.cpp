// SPDX-License-Identifier: Apache-2.0
// Owns proofs without hashes: only what their sizes depend on.
#include "host/node/benchmark/state_proof_sizes.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"

namespace millrace::node::state_bench {
namespace {

using namespace storage;  // NOLINT: a program of its own

constexpr uint64_t writes_per_block = 10'000;
/// Generations of keys that were written before the span of live entries in a worn state.
constexpr uint64_t worn_generations = 100;
constexpr uint64_t span_generations = 8;

class ShapedShard {
public:
    ShapedShard(const ProofQuestion& question, std::mt19937_64& random)
        : question_(question),
          random_(random),
          keys_(std::max<uint64_t>(question.state_keys / shard_count, 1)) {
        const bool worn = question.shape == LogShape::worn;
        serial_count_ = keys_ * (worn ? worn_generations : 2);
        first_live_ = worn ? serial_count_ - span_generations * keys_ : 0;
    }
    uint64_t serial_count() const { return serial_count_; }
    uint64_t height_max() const { return serial_count_ * shard_count / writes_per_block; }

    /// Places of live entries, ascending.
    std::set<uint64_t> draw(uint64_t count) {
        std::set<uint64_t> out;
        while (out.size() < count) { out.insert(draw_one()); }
        return out;
    }
    uint64_t age() {
        const double a = std::exponential_distribution<>{1.0}(random_) * static_cast<double>(keys_);
        return std::min(static_cast<uint64_t>(a), serial_count_ - first_live_ - 1);
    }
    ActiveBits bits(uint64_t chunk) {
        ActiveBits out;
        for (uint64_t i = 0; i < chunk_entries; ++i) {
            const double x = std::uniform_real_distribution<>{}(random_);
            if (x < live(chunk * chunk_entries + i)) {
                out[i / 8] |= static_cast<uint8_t>(1u << i % 8);
            }
        }
        return out;
    }
    /// Whether a node of this height over the leaves stands for nothing.
    bool is_null(unsigned height, uint64_t place) const {
        const uint64_t begin = place << height;
        const uint64_t end = begin + (uint64_t{1} << height);
        return begin >= serial_count_ || (height >= chunk_height && end <= first_live_);
    }

private:
    uint64_t draw_one() {
        if (question_.recent_writes != 0) {
            return serial_count_ - 1 - random_() % (question_.recent_writes / shard_count);
        }
        if (question_.shape == LogShape::worn) { return serial_count_ - 1 - age(); }
        const double x = std::sqrt(std::uniform_real_distribution<>{}(random_));
        return std::min(static_cast<uint64_t>(x * static_cast<double>(serial_count_)),
                        serial_count_ - 1);
    }
    double live(uint64_t serial) const {
        if (serial >= serial_count_ || serial < first_live_) { return 0; }
        const auto all = static_cast<double>(serial_count_);
        if (question_.shape == LogShape::loaded) { return static_cast<double>(serial) / all; }
        return std::exp(-static_cast<double>(serial_count_ - serial) / static_cast<double>(keys_));
    }

    const ProofQuestion& question_;
    std::mt19937_64& random_;
    uint64_t keys_;
    uint64_t serial_count_ = 0;
    uint64_t first_live_ = 0;
};

/// A key and its successor's link, as far apart as they are with so many keys.
unsigned shared_bytes(uint64_t state_keys, std::mt19937_64& random) {
    const uint64_t key = random();
    const double gap = std::exponential_distribution<>{1.0}(random) * 0x1p64 /
                       static_cast<double>(std::max<uint64_t>(state_keys, 1));
    const uint64_t next = key + static_cast<uint64_t>(std::min(gap, 0x1p63));
    return static_cast<unsigned>(std::countl_zero(key ^ next)) / 8;
}

uint64_t single_bytes(const ProofQuestion& question, std::mt19937_64& random) {
    ShapedShard shard{question, random};
    const uint64_t serial = *shard.draw(1).begin();
    StateEntry entry;
    const Bytes value(question.value_bytes);
    entry.serial = serial;
    entry.height = serial * shard_count / writes_per_block;
    entry.previous_distance = question.shape == LogShape::worn ? std::min(shard.age(), serial) : 0;
    entry.value = value;
    StateProof proof;
    proof.entry.resize(entry_bytes_bound(value.size()));
    proof.entry.resize(encode_entry(entry, proof.entry.data()));
    proof.serial_count = shard.serial_count();
    const unsigned levels = chunk_height + grafted_height(shard.serial_count());
    for (unsigned level = 0; level < levels; ++level) {
        if (shard.is_null(level, serial >> level ^ 1)) {
            proof.null_siblings |= uint64_t{1} << level;
        } else {
            proof.siblings.emplace_back();
        }
    }
    proof.siblings.resize(proof.siblings.size() + shard_bits);
    Bytes out;
    encode_state_proof(proof, out);
    return out.size();
}

}  // namespace

uint64_t proof_bytes(const ProofQuestion& question) {
    std::mt19937_64 random{question.state_keys + question.asked_keys};
    if (question.asked_keys == 1) {
        uint64_t sum = 0;
        constexpr uint64_t samples = 1000;
        for (uint64_t i = 0; i < samples; ++i) { sum += single_bytes(question, random); }
        return sum / samples;
    }
    StateMultiproof proof;
    for (unsigned index = 0; index < shard_count; ++index) {
        ShapedShard shaped{question, random};
        StateMultiproof::Shard& shard = proof.shards.emplace_back();
        shard.index = static_cast<uint8_t>(index);
        shard.serial_count = shaped.serial_count();
        std::vector<uint64_t> places;
        for (const uint64_t serial : shaped.draw(question.asked_keys / shard_count)) {
            StateMultiproof::Entry& e = shard.entries.emplace_back();
            e.serial = serial;
            e.height = serial * shard_count / writes_per_block;
            const uint64_t before = question.shape == LogShape::worn ? shaped.age() : 0;
            e.previous_distance = std::min(before, serial);
            e.link_shared_bytes = static_cast<uint8_t>(shared_bytes(question.state_keys, random));
            e.value.resize(question.value_bytes);
            places.push_back(serial);
            const uint64_t chunk = serial / chunk_entries;
            if (places.size() == 1 || places[places.size() - 2] / chunk_entries != chunk) {
                shard.active_bits.push_back(shaped.bits(chunk));
            }
        }
        const unsigned levels = chunk_height + grafted_height(shard.serial_count);
        for (unsigned level = 0; level < levels; ++level) {
            for_each_sibling(places, [&](uint64_t place) {
                if (shaped.is_null(level, place)) {
                    proof.null_siblings.push_back(proof.siblings.size() +
                                                  proof.null_siblings.size());
                } else {
                    proof.siblings.emplace_back();
                }
            });
            for (uint64_t& place : places) { place /= 2; }
            places.erase(std::unique(places.begin(), places.end()), places.end());
        }
    }
    Bytes out;
    encode_state_multiproof(proof, out);
    return out.size();
}

}  // namespace millrace::node::state_bench
