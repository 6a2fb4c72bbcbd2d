// SPDX-License-Identifier: Apache-2.0
// Owns the state engine as a store of the benchmark, and the list of all stores.
#include "host/node/benchmark/state_store.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"

namespace millrace::node::state_bench {
namespace {

namespace qmdb = storage::qmdb;

/// Enough for the batches that are taken back; older files are freed as they die.
constexpr uint64_t history_blocks = 128;

class EngineStore final : public Store {
public:
    EngineStore(std::string directory, kernels::NodeHash hash)
        : directory_(std::move(directory)), files_(storage::make_posix_file_system()) {
        options_.hash = hash;
        options_.history_blocks = history_blocks;
    }
    Result<void> close() override {
        root_ = engine_->root();
        engine_.reset();
        return {};
    }
    Result<void> open() override {
        MILLRACE_TRY(engine_,
                     qmdb::Engine::open(*files_, directory_, options_, storage::make_log_writer()));
        if (engine_->root() != root_) { return fail(ErrorCode::internal, "another root"); }
        return {};
    }

    Result<void> apply(uint64_t height, std::span<const qmdb::StateWrite> writes) override {
        MILLRACE_CHECK(engine_->apply(height, writes));
        MILLRACE_CHECK(engine_->commit());
        MILLRACE_CHECK(engine_->prune());
        return {};
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override { return engine_->get(key); }
    bool can_roll_back() const override { return true; }
    Result<void> roll_back(uint64_t blocks) override {
        const uint64_t height = engine_->height() - blocks;
        MILLRACE_TRY(const Hash256 root, engine_->root_at(height));
        MILLRACE_CHECK(engine_->rollback(height));
        if (engine_->root() != root) { return fail(ErrorCode::internal, "another root"); }
        return {};
    }
    Result<std::optional<uint64_t>> proof_bytes(std::span<const Hash256> keys) override {
        Bytes out;
        if (keys.size() == 1) {
            MILLRACE_TRY(const storage::StateProof proof, engine_->prove(keys.front()));
            MILLRACE_CHECK(
                storage::StateVerifier{options_.hash}.verify(engine_->root(), keys.front(), proof));
            encode_state_proof(proof, out);
        } else {
            MILLRACE_TRY(const storage::StateMultiproof proof, engine_->prove(keys));
            MILLRACE_CHECK(storage::StateMultiproofVerifier{options_.hash}.verify(engine_->root(),
                                                                                  keys, proof));
            encode_state_multiproof(proof, out);
        }
        return std::optional<uint64_t>{out.size()};
    }
    std::optional<uint64_t> memory_bytes() const override {
        return engine_->stats().memory_bytes();
    }
    Figures figures() const override {
        const qmdb::EngineStats s = engine_->stats();
        const auto keys = static_cast<double>(std::max<uint64_t>(s.key_count, 1));
        return {{"index_bytes_per_key", static_cast<double>(s.index_bytes) / keys},
                {"tree_bytes_per_key", static_cast<double>(s.tree_bytes) / keys},
                {"places_bytes_per_key", static_cast<double>(s.directory_bytes) / keys},
                {"blocks_bytes_per_key", static_cast<double>(s.block_bytes) / keys},
                {"work_bytes_per_key", static_cast<double>(s.work_bytes) / keys},
                {"entries_appended", static_cast<double>(s.serial_count)},
                {"entries_compacted", static_cast<double>(s.compacted_count)},
                {"entries_relinked", static_cast<double>(s.relinked_count)}};
    }

private:
    std::string directory_;
    std::unique_ptr<storage::FileSystem> files_;
    qmdb::EngineOptions options_;
    std::unique_ptr<qmdb::Engine> engine_;
    Hash256 root_;  ///< when it was closed; zero before
};

}  // namespace

Result<std::unique_ptr<Store>> open_engine_store(const std::string& directory,
                                                 kernels::NodeHash hash) {
    auto store = std::make_unique<EngineStore>(directory, hash);
    MILLRACE_CHECK(store->open());
    return store;
}

const std::vector<StoreKind>& store_kinds() {
    static const std::vector<StoreKind> kinds = [] {
        std::vector<StoreKind> all;
        for (const auto hash :
             {kernels::NodeHash::keccak256, kernels::NodeHash::blake3, kernels::NodeHash::sha256}) {
            all.push_back({std::string{to_string(hash)}, true,
                           [hash](const std::string& at) { return open_engine_store(at, hash); }});
        }
        all.push_back({"rocksdb", false, open_rocksdb_store});
        all.push_back({"lmdb", false, open_lmdb_store});
        return all;
    }();
    return kinds;
}

}  // namespace millrace::node::state_bench
