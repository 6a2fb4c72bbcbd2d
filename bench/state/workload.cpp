// SPDX-License-Identifier: Apache-2.0
// Owns making keys, values and batches.
#include "bench/state/workload.hpp"

#include <algorithm>
#include <cstring>

namespace millrace::state_bench {
namespace {

constexpr uint32_t gone = uint32_t{1} << 31;

uint64_t mix(uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

constexpr size_t value_bytes_min = 32;
constexpr size_t value_bytes_max = 100;

/// Writes the value of a version of a key to `out`, which has room for 8 bytes more than the
/// longest; returns its length.
size_t make_value(uint64_t index, uint32_t version, uint8_t* out) noexcept {
    uint64_t state = mix(index << 24 ^ version);
    const size_t bytes = value_bytes_min + state % (value_bytes_max - value_bytes_min + 1);
    for (size_t at = 0; at < bytes; at += 8) {
        state = mix(state);
        std::memcpy(out + at, &state, 8);
    }
    return bytes;
}

}  // namespace

Hash256 Workload::key(uint64_t index) noexcept {
    Hash256 out;
    for (size_t i = 0; i < 4; ++i) {
        const uint64_t word = mix(index * 4 + i + 0x5eed);
        std::memcpy(out.data() + 8 * i, &word, 8);
    }
    return out;
}

uint64_t Workload::next_random() noexcept { return mix(random_++); }

uint64_t Workload::draw(bool hot) noexcept {
    const uint64_t r = next_random();
    const uint64_t span = hot && r % 10 != 0 ? std::max<uint64_t>(loaded_ / 100, 1) : loaded_;
    return next_random() % span;
}

std::optional<Bytes> Workload::expected(uint64_t index) const {
    const uint32_t version = versions_[index];
    if (version == 0 || (version & gone) != 0) { return std::nullopt; }
    Bytes out(value_bytes_max + 8);
    out.resize(make_value(index, version, out.data()));
    return out;
}

Batch Workload::batch_of(std::vector<uint64_t> indices, unsigned removals_of_three) {
    struct Keyed {
        Hash256 key;
        uint64_t index;
    };
    std::vector<Keyed> keyed;
    keyed.reserve(indices.size());
    for (const uint64_t i : indices) { keyed.push_back({key(i), i}); }
    std::ranges::sort(keyed, {}, &Keyed::key);
    Batch batch;
    batch.values.resize(keyed.size() * (value_bytes_max + 8));
    batch.writes.reserve(keyed.size());
    uint8_t* at = batch.values.data();
    for (const auto& [k, index] : keyed) {
        uint32_t& version = versions_[index];
        const bool there = version != 0 && (version & gone) == 0;
        if (there && next_random() % 3 < removals_of_three) {
            version |= gone;
            gone_.push_back(index);
            batch.writes.push_back({k, std::nullopt});
            continue;
        }
        version = (version & ~gone) + 1;
        const size_t bytes = make_value(index, version, at);
        batch.writes.push_back({k, ByteView{at, bytes}});
        at += bytes;
    }
    return batch;
}

Batch Workload::load(uint64_t count) {
    std::vector<uint64_t> indices(std::min(count, key_count_ - loaded_));
    for (uint64_t& i : indices) { i = loaded_++; }
    return batch_of(std::move(indices), 0);
}

Batch Workload::update(uint64_t count, bool hot) {
    std::vector<uint64_t> indices;
    while (indices.size() < count) {
        while (indices.size() < count) { indices.push_back(draw(hot)); }
        std::ranges::sort(indices);
        indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
        if (hot) { break; }  // the hot keys may be fewer
    }
    std::erase_if(indices, [&](uint64_t i) { return (versions_[i] & gone) != 0; });
    return batch_of(std::move(indices), 0);
}

Batch Workload::churn(uint64_t count) {
    std::vector<uint64_t> indices;
    for (uint64_t i = 0; i < count * 3 / 4; ++i) { indices.push_back(draw(false)); }
    std::erase_if(indices, [&](uint64_t i) { return (versions_[i] & gone) != 0; });
    // As many come back as go.
    const size_t back = std::min<size_t>(gone_.size(), count / 4);
    indices.insert(indices.end(), gone_.end() - static_cast<ptrdiff_t>(back), gone_.end());
    gone_.resize(gone_.size() - back);
    std::ranges::sort(indices);
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    return batch_of(std::move(indices), 1);
}

}  // namespace millrace::state_bench
