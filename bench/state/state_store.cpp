// SPDX-License-Identifier: Apache-2.0
// Owns the state engine as a store of the benchmark.
#include <cstdio>

#include "bench/state/store.hpp"

namespace millrace::state_bench {
namespace {

using namespace storage;  // NOLINT: a program of its own

class StateStore final : public Store {
public:
    StateStore(std::string directory, kernels::NodeHash hash)
        : directory_(std::move(directory)), files_(make_posix_file_system()) {
        options_.hash = hash;
    }
    Result<void> open() {
        MILLRACE_TRY(engine_, qmdb::Engine::open(*files_, directory_, options_,
                                                 make_pwrite_log_writer("the page cache serves "
                                                                        "the reads")));
        return {};
    }

    std::string name() const override {
        return "millrace-" + std::string{to_string(options_.hash)};
    }
    Result<void> apply(uint64_t height, std::span<const qmdb::StateWrite> writes) override {
        MILLRACE_CHECK(engine_->apply(height, writes));
        return engine_->commit();
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override { return engine_->get(key); }
    Result<void> reopen() override {
        const Hash256 root = engine_->root();
        engine_.reset();
        MILLRACE_CHECK(open());
        if (engine_->root() != root) { return fail(ErrorCode::internal, "another root"); }
        return {};
    }
    std::optional<Result<void>> rollback(uint64_t blocks) override {
        const uint64_t height = engine_->height() - blocks;
        const auto root = engine_->root_at(height);
        if (!root) { return std::unexpected(root.error()); }
        if (auto r = engine_->rollback(height); !r) { return r; }
        if (engine_->root() != *root) { return fail(ErrorCode::internal, "another root"); }
        return Result<void>{};
    }
    Result<std::optional<uint64_t>> proof_bytes(std::span<const Hash256> keys) override {
        Bytes out;
        if (keys.size() == 1) {
            MILLRACE_TRY(const StateProof proof, engine_->prove(keys.front()));
            MILLRACE_CHECK(
                StateVerifier{options_.hash}.verify(engine_->root(), keys.front(), proof));
            encode_state_proof(proof, out);
        } else {
            MILLRACE_TRY(const StateMultiproof proof, engine_->prove(keys));
            MILLRACE_CHECK(
                StateMultiproofVerifier{options_.hash}.verify(engine_->root(), keys, proof));
            encode_state_multiproof(proof, out);
        }
        return std::optional<uint64_t>{out.size()};
    }
    std::optional<uint64_t> ram_bytes() const override {
        const qmdb::EngineStats s = engine_->stats();
        return s.index_bytes + s.tree_bytes + s.directory_bytes;
    }
    std::string details() const override {
        const qmdb::EngineStats s = engine_->stats();
        const auto keys = static_cast<double>(s.key_count);
        char text[400];
        std::snprintf(text, sizeof text,
                      ", \"index_bytes_per_key\": %.2f, \"tree_bytes_per_key\": %.2f, "
                      "\"places_bytes_per_key\": %.3f, \"entries_appended\": %llu, "
                      "\"compacted\": %llu, \"relinked\": %llu",
                      static_cast<double>(s.index_bytes) / keys,
                      static_cast<double>(s.tree_bytes) / keys,
                      static_cast<double>(s.directory_bytes) / keys,
                      static_cast<unsigned long long>(s.serial_count),
                      static_cast<unsigned long long>(s.compacted_count),
                      static_cast<unsigned long long>(s.relinked_count));
        return text;
    }

private:
    std::string directory_;
    std::unique_ptr<FileSystem> files_;
    qmdb::EngineOptions options_;
    std::unique_ptr<qmdb::Engine> engine_;
};

}  // namespace

Result<std::unique_ptr<Store>> make_state_store(const std::string& directory,
                                                kernels::NodeHash hash) {
    auto store = std::make_unique<StateStore>(directory, hash);
    MILLRACE_CHECK(store->open());
    return store;
}

}  // namespace millrace::state_bench
