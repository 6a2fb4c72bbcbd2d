// SPDX-License-Identifier: Apache-2.0
// Owns RocksDB as a store of the benchmark.
#include "bench/state/store.hpp"

#if defined(MILLRACE_HAVE_ROCKSDB)

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

namespace millrace::state_bench {
namespace {

rocksdb::Slice slice(ByteView v) { return {reinterpret_cast<const char*>(v.data()), v.size()}; }

Result<void> checked(const rocksdb::Status& status) {
    if (status.ok()) { return {}; }
    return fail(ErrorCode::io, "rocksdb: " + status.ToString());
}

class RocksdbStore final : public Store {
public:
    explicit RocksdbStore(std::string directory) : directory_(std::move(directory)) {
        // Point look-ups of incompressible values; what is bought by memory is bought.
        options_.create_if_missing = true;
        options_.compression = rocksdb::kNoCompression;
        options_.write_buffer_size = size_t{128} << 20;
        options_.max_write_buffer_number = 4;
        options_.max_background_jobs = 2;
        options_.level_compaction_dynamic_level_bytes = true;
        rocksdb::BlockBasedTableOptions table;
        table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
        table.block_cache = rocksdb::NewLRUCache(size_t{1} << 30);
        options_.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    }
    Result<void> open() {
        rocksdb::DB* db = nullptr;
        MILLRACE_CHECK(checked(rocksdb::DB::Open(options_, directory_, &db)));
        db_.reset(db);
        return {};
    }

    std::string name() const override { return "rocksdb"; }
    Result<void> apply(uint64_t, std::span<const storage::qmdb::StateWrite> writes) override {
        rocksdb::WriteBatch batch;
        for (const auto& w : writes) {
            const rocksdb::Slice key = slice(w.key.view());
            old_.Reset();
            const auto found =
                db_->Get(rocksdb::ReadOptions{}, db_->DefaultColumnFamily(), key, &old_);
            if (!found.IsNotFound()) { MILLRACE_CHECK(checked(found)); }
            MILLRACE_CHECK(checked(w.value ? batch.Put(key, slice(*w.value)) : batch.Delete(key)));
        }
        rocksdb::WriteOptions durable;
        durable.sync = true;
        return checked(db_->Write(durable, &batch));
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override {
        rocksdb::PinnableSlice value;
        const auto found =
            db_->Get(rocksdb::ReadOptions{}, db_->DefaultColumnFamily(), slice(key.view()), &value);
        if (found.IsNotFound()) { return std::nullopt; }
        MILLRACE_CHECK(checked(found));
        return Bytes{value.data(), value.data() + value.size()};
    }
    Result<void> reopen() override {
        old_.Reset();
        db_.reset();
        return open();
    }

private:
    std::string directory_;
    rocksdb::Options options_;
    std::unique_ptr<rocksdb::DB> db_;
    rocksdb::PinnableSlice old_;
};

}  // namespace

Result<std::unique_ptr<Store>> make_rocksdb_store(const std::string& directory) {
    auto store = std::make_unique<RocksdbStore>(directory);
    MILLRACE_CHECK(store->open());
    return store;
}

}  // namespace millrace::state_bench

#else

namespace millrace::state_bench {

Result<std::unique_ptr<Store>> make_rocksdb_store(const std::string&) {
    return fail(ErrorCode::unavailable, "librocksdb-dev was not there when this was built");
}

}  // namespace millrace::state_bench

#endif
