// SPDX-License-Identifier: Apache-2.0
// Owns the run of a device's packing code on the host, for tests and for the check of a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kernels/pack/detail/backends.hpp"
#include "kernels/pack/detail/tiles.hpp"

// C++20 only: the check of a device builds on machines without our own compiler.
namespace millrace::kernels::detail {

/// One batch on a device whose threads take turns. The spans are as those of the CUDA entries.
template <class T>
class PackEmulation {
public:
    static constexpr uint32_t threads = 32;

    explicit PackEmulation(const PackJob<T>& job) : job_(job), tiles_(tile_count(job.counts)) {
        tiles_.resize(make_tiles(job.counts, job.widths, tile_values, tiles_.data()));
    }

    void any(std::span<T> any) const {
        for_threads([&](const PackTile& tile, uint32_t thread) {
            any[tile.block] |= tile_any(tile, job_.values.data(), thread, threads);
        });
    }

    void minimum(std::span<T> minima) const {
        for (size_t b = 0; b < minima.size(); ++b) {
            minima[b] = job_.counts[b] == 0 ? T{0} : static_cast<T>(~T{0});
        }
        for_threads([&](const PackTile& tile, uint32_t thread) {
            const T least = tile_minimum(tile, job_.values.data(), thread, threads);
            minima[tile.block] = least < minima[tile.block] ? least : minima[tile.block];
        });
    }

    void pack(std::span<uint8_t> packed, std::span<T> any) const {
        std::vector<uint64_t> words(all_words());
        for_threads([&](const PackTile& tile, uint32_t thread) {
            any[tile.block] |= tile_pack(tile, job_.values.data(), words.data(), thread, threads);
        });
        for_packed_blocks([&](size_t byte, size_t word, size_t bytes) {
            std::memcpy(packed.data() + byte, words.data() + word, bytes);
        });
    }

    void unpack(std::span<T> values, std::span<T> any) const {
        std::vector<uint64_t> words(all_words());
        for_packed_blocks([&](size_t byte, size_t word, size_t bytes) {
            std::memcpy(words.data() + word, job_.packed.data() + byte, bytes);
        });
        for_threads([&](const PackTile& tile, uint32_t thread) {
            any[tile.block] |= tile_unpack(tile, words.data(), values.data(), thread, threads);
        });
    }

    void encode(CodeKind code, std::span<T> coded, std::span<uint32_t> refused) const {
        for_threads([&](const PackTile& tile, uint32_t thread) {
            if (!tile_encode(tile, code, job_.values.data(), base(tile.block), coded.data(), thread,
                             threads)) {
                refused[tile.block] = 1;
            }
        });
    }

    void decode(CodeKind code, std::span<T> values, std::span<uint32_t> refused) const {
        std::vector<T> sums(job_.values.size());
        for_threads([&](const PackTile& tile, uint32_t thread) {
            tile_steps(tile, code, job_.values.data(), sums.data(), thread, threads);
        });
        std::partial_sum(sums.begin(), sums.end(), sums.begin());
        std::vector<uint32_t> firsts(job_.counts.size());
        std::exclusive_scan(job_.counts.begin(), job_.counts.end(), firsts.begin(), 0u);
        for_threads([&](const PackTile& tile, uint32_t thread) {
            if (!tile_finish(tile, code, job_.values.data(), sums.data(), firsts[tile.block],
                             base(tile.block), values.data(), thread, threads)) {
                refused[tile.block] = 1;
            }
        });
    }

private:
    static size_t tile_count(std::span<const uint32_t> counts) {
        size_t tiles = 0;
        for (const uint32_t count : counts) { tiles += block_tiles(count, tile_values); }
        return tiles;
    }

    T base(size_t block) const { return job_.bases.empty() ? T{0} : job_.bases[block]; }

    size_t all_words() const {
        size_t words = 0;
        for (size_t b = 0; b < job_.counts.size(); ++b) {
            words += block_words(job_.counts[b], job_.widths[b]);
        }
        return words;
    }

    template <class Work>
    void for_threads(const Work& work) const {
        for (const PackTile& tile : tiles_) {
            for (uint32_t thread = 0; thread < threads; ++thread) { work(tile, thread); }
        }
    }

    template <class Copy>
    void for_packed_blocks(const Copy& copy) const {
        size_t byte = 0;
        size_t word = 0;
        for (size_t b = 0; b < job_.counts.size(); ++b) {
            const size_t bytes = (size_t{job_.counts[b]} * job_.widths[b] + 7) / 8;
            if (bytes != 0) { copy(byte, word, bytes); }
            byte += bytes;
            word += block_words(job_.counts[b], job_.widths[b]);
        }
    }

    PackJob<T> job_;
    std::vector<PackTile> tiles_;
};

}  // namespace millrace::kernels::detail
