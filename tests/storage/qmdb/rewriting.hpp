// SPDX-License-Identifier: Apache-2.0
// Owns what makes an engine rewrite segments in tests: its options, and blocks that leave much
// dead.
#pragma once

#include <memory>
#include <random>

#include "host/base/metrics.hpp"
#include "storage/qmdb/engine.hpp"
#include "tests/storage/qmdb/engine_model.hpp"

namespace millrace::storage::qmdb {

/// With a registry of their own.
inline std::shared_ptr<FileCareFigures> fresh_figures() {
    struct Owned {
        metrics::Registry registry;
        FileCareFigures figures{registry};
    };
    const auto owned = std::make_shared<Owned>();
    return {owned, &owned->figures};
}

inline EngineOptions rewriting_options(uint64_t segment_bytes, uint64_t history_blocks) {
    EngineOptions o;
    o.hash = kernels::NodeHash::blake3;
    o.backend = kernels::Backend::scalar;
    o.log.segment_bytes = segment_bytes;
    o.log.log_id = 9;
    o.history_blocks = history_blocks;
    o.care.rewrite = true;
    o.care.rewrite_gain_percent = 10;
    o.care.background = false;
    o.care.figures = fresh_figures();
    return o;
}

/// Writes to few shards, so that chunks become full and die. A quarter of the keys is written once
/// and stays among what dies. `alike` gives values that compress.
inline Block narrow_block(const EngineModel& model, size_t creates, size_t updates, bool alike,
                          std::mt19937_64& random) {
    Block block;
    const auto value = [&] {
        Bytes out(random() % 60 + (alike ? 200 : 0));
        for (uint8_t& b : out) { b = static_cast<uint8_t>(alike ? 7 : random()); }
        return out;
    };
    while (block.size() < creates) {
        Hash256 key = random_key(random);
        key[0] = key[0] % 4 == 0 ? 3 : 0x53;
        block[key] = value();
    }
    for (size_t i = 0; i < updates; ++i) {
        const auto key = model.any_key(random);
        if (!key || (*key)[31] % 4 == 0) { continue; }
        block[*key] = value();
        if (random() % 30 == 0) { block[*key] = std::nullopt; }
    }
    return block;
}

}  // namespace millrace::storage::qmdb
