// SPDX-License-Identifier: Apache-2.0
// Owns making keys, values and batches.
#include "host/node/benchmark/state_workload.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace millrace::node::state_bench {
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

uint64_t value_seed(uint64_t index, uint32_t version) noexcept {
    return mix(index << 24 ^ version);
}

size_t value_bytes(uint64_t seed) noexcept {
    return value_bytes_min + seed % (value_bytes_max - value_bytes_min + 1);
}

/// Writes the value of a version of a key to `out`, which has room for 8 bytes more than the
/// longest; returns its length.
size_t make_value(uint64_t index, uint32_t version, uint8_t* out) noexcept {
    uint64_t state = value_seed(index, version);
    const size_t bytes = value_bytes(state);
    for (size_t at = 0; at < bytes; at += 8) {
        state = mix(state);
        std::memcpy(out + at, &state, 8);
    }
    return bytes;
}

constexpr double zipf_exponent = 0.99;

/// The sum of i^-zipf_exponent for i from 1 to `count`.
double zipf_sum(uint64_t count) {
    constexpr uint64_t exact = 1000;
    double sum = 0;
    for (uint64_t i = 1; i <= std::min(count, exact); ++i) {
        sum += std::pow(static_cast<double>(i), -zipf_exponent);
    }
    if (count > exact) {
        // The integral over the rest, each term in the middle of its unit.
        const auto integral = [](double x) {
            return std::pow(x, 1 - zipf_exponent) / (1 - zipf_exponent);
        };
        sum += integral(static_cast<double>(count) + 0.5) - integral(exact + 0.5);
    }
    return sum;
}

}  // namespace

uint64_t Batch::payload_bytes() const noexcept {
    uint64_t total = 0;
    for (const auto& w : writes) { total += Hash256::size_bytes + (w.value ? w.value->size() : 0); }
    return total;
}

ZipfRanks::ZipfRanks(uint64_t count)
    : count_(count), sum_(zipf_sum(count)), alpha_(1 / (1 - zipf_exponent)) {
    const double of_two = 1 + std::pow(2, -zipf_exponent);
    eta_ = (1 - std::pow(2 / static_cast<double>(count), 1 - zipf_exponent)) / (1 - of_two / sum_);
}

uint64_t ZipfRanks::rank(double uniform) const noexcept {
    const double scaled = uniform * sum_;
    if (scaled < 1 || count_ == 1) { return 0; }
    if (scaled < 1 + std::pow(0.5, zipf_exponent) || count_ == 2) { return 1; }
    const double r = static_cast<double>(count_) * std::pow(eta_ * uniform - eta_ + 1, alpha_);
    return std::min(static_cast<uint64_t>(r), count_ - 1);
}

Workload::Workload(uint64_t keys, uint64_t seed)
    : key_count_(keys), zipf_(keys), random_(seed), versions_(keys) {}

Hash256 Workload::key(uint64_t index) noexcept {
    Hash256 out;
    for (size_t i = 0; i < 4; ++i) {
        const uint64_t word = mix(index * 4 + i + 0x5eed);
        std::memcpy(out.data() + 8 * i, &word, 8);
    }
    return out;
}

uint64_t Workload::next_random() noexcept { return mix(random_++); }

uint64_t Workload::draw(Choice choice) noexcept {
    const uint64_t r = next_random();
    if (choice == Choice::uniform) { return r % loaded_; }
    // The popular keys lie everywhere: the factor is a prime above any count of keys.
    const uint64_t rank = zipf_.rank(static_cast<double>(r >> 11) * 0x1p-53);
    return rank * 2'654'435'761 % loaded_;
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
        if (there) { live_bytes_ -= Hash256::size_bytes + value_bytes(value_seed(index, version)); }
        if (there && next_random() % 3 < removals_of_three) {
            version |= gone;
            gone_.push_back(index);
            batch.writes.push_back({k, std::nullopt});
            continue;
        }
        version = (version & ~gone) + 1;
        const size_t bytes = make_value(index, version, at);
        batch.writes.push_back({k, ByteView{at, bytes}});
        live_bytes_ += Hash256::size_bytes + bytes;
        at += bytes;
    }
    return batch;
}

Batch Workload::load(uint64_t count) {
    std::vector<uint64_t> indices(std::min(count, key_count_ - loaded_));
    for (uint64_t& i : indices) { i = loaded_++; }
    return batch_of(std::move(indices), 0);
}

Batch Workload::update(uint64_t count, Choice choice) {
    std::vector<uint64_t> indices;
    for (uint64_t drawn = 0; indices.size() < count && drawn < 8 * count;) {
        for (; indices.size() < count && drawn < 8 * count; ++drawn) {
            indices.push_back(draw(choice));
        }
        std::ranges::sort(indices);
        const auto same = std::ranges::unique(indices);
        indices.erase(same.begin(), same.end());
        std::erase_if(indices, [&](uint64_t i) { return (versions_[i] & gone) != 0; });
    }
    return batch_of(std::move(indices), 0);
}

Batch Workload::churn(uint64_t count) {
    std::vector<uint64_t> indices;
    for (uint64_t i = 0; i < count * 3 / 4; ++i) { indices.push_back(draw(Choice::uniform)); }
    std::erase_if(indices, [&](uint64_t i) { return (versions_[i] & gone) != 0; });
    // As many come back as go.
    const size_t back = std::min<size_t>(gone_.size(), count / 4);
    indices.insert(indices.end(), gone_.end() - static_cast<ptrdiff_t>(back), gone_.end());
    gone_.resize(gone_.size() - back);
    std::ranges::sort(indices);
    const auto same = std::ranges::unique(indices);
    indices.erase(same.begin(), same.end());
    return batch_of(std::move(indices), 1);
}

}  // namespace millrace::node::state_bench
