// SPDX-License-Identifier: Apache-2.0
// Owns RocksDB as a store of the benchmark. The library is loaded when it is measured: a node never
// needs it.
#include "host/node/benchmark/state_store.hpp"

#if defined(MILLRACE_ROCKSDB_SONAME)

#include <rocksdb/c.h>

#include "host/node/benchmark/shared_library.hpp"

namespace millrace::node::state_bench {
namespace {

const char* text_of(ByteView v) noexcept { return reinterpret_cast<const char*>(v.data()); }

/// The functions that are used, by their names without the prefix.
struct Api {
#define MILLRACE_ROCKSDB_FUNCTIONS(F)                   \
    F(open)                                             \
    F(close)                                            \
    F(free)                                             \
    F(get_pinned)                                       \
    F(write)                                            \
    F(property_int)                                     \
    F(pinnableslice_value)                              \
    F(pinnableslice_destroy)                            \
    F(writebatch_create)                                \
    F(writebatch_clear)                                 \
    F(writebatch_put)                                   \
    F(writebatch_delete)                                \
    F(readoptions_create)                               \
    F(writeoptions_create)                              \
    F(writeoptions_set_sync)                            \
    F(options_create)                                   \
    F(options_set_create_if_missing)                    \
    F(options_set_compression)                          \
    F(options_set_write_buffer_size)                    \
    F(options_set_max_write_buffer_number)              \
    F(options_set_max_background_jobs)                  \
    F(options_set_level_compaction_dynamic_level_bytes) \
    F(options_set_block_based_table_factory)            \
    F(block_based_options_create)                       \
    F(block_based_options_destroy)                      \
    F(block_based_options_set_filter_policy)            \
    F(block_based_options_set_block_cache)              \
    F(filterpolicy_create_bloom_full)                   \
    F(cache_create_lru)                                 \
    F(writebatch_destroy)                               \
    F(readoptions_destroy)                              \
    F(writeoptions_destroy)                             \
    F(options_destroy)                                  \
    F(cache_destroy)
#define MILLRACE_ROCKSDB_POINTER(name) decltype(&rocksdb_##name) name = nullptr;
    MILLRACE_ROCKSDB_FUNCTIONS(MILLRACE_ROCKSDB_POINTER)

    Result<void> load(const SharedLibrary& library) {
#define MILLRACE_ROCKSDB_FIND(name) MILLRACE_CHECK(library.find("rocksdb_" #name, name));
        MILLRACE_ROCKSDB_FUNCTIONS(MILLRACE_ROCKSDB_FIND)
        return {};
    }
};

class RocksdbStore final : public Store {
public:
    RocksdbStore(SharedLibrary library, const Api& api, std::string directory)
        : library_(std::move(library)), api_(api), directory_(std::move(directory)) {
        // Point look-ups of incompressible values; what is bought by memory is bought.
        cache_ = api_.cache_create_lru(size_t{1} << 30);
        rocksdb_block_based_table_options_t* const table = api_.block_based_options_create();
        api_.block_based_options_set_filter_policy(table, api_.filterpolicy_create_bloom_full(10));
        api_.block_based_options_set_block_cache(table, cache_);
        options_ = api_.options_create();
        api_.options_set_create_if_missing(options_, 1);
        api_.options_set_compression(options_, rocksdb_no_compression);
        api_.options_set_write_buffer_size(options_, size_t{128} << 20);
        api_.options_set_max_write_buffer_number(options_, 4);
        api_.options_set_max_background_jobs(options_, 2);
        api_.options_set_level_compaction_dynamic_level_bytes(options_, 1);
        api_.options_set_block_based_table_factory(options_, table);
        api_.block_based_options_destroy(table);
        read_options_ = api_.readoptions_create();
        durable_ = api_.writeoptions_create();
        api_.writeoptions_set_sync(durable_, 1);
        batch_ = api_.writebatch_create();
    }
    ~RocksdbStore() override {
        end();
        api_.writebatch_destroy(batch_);
        api_.writeoptions_destroy(durable_);
        api_.readoptions_destroy(read_options_);
        api_.options_destroy(options_);
        api_.cache_destroy(cache_);
    }
    RocksdbStore(const RocksdbStore&) = delete;
    RocksdbStore& operator=(const RocksdbStore&) = delete;

    Result<void> open() override {
        char* error = nullptr;
        db_ = api_.open(options_, directory_.c_str(), &error);
        return checked(error);
    }

    Result<void> apply(uint64_t, std::span<const storage::qmdb::StateWrite> writes) override {
        api_.writebatch_clear(batch_);
        for (const auto& w : writes) {
            char* error = nullptr;
            const char* const key = text_of(w.key.view());
            rocksdb_pinnableslice_t* const old =
                api_.get_pinned(db_, read_options_, key, Hash256::size_bytes, &error);
            MILLRACE_CHECK(checked(error));
            if (old != nullptr) { api_.pinnableslice_destroy(old); }
            if (w.value) {
                api_.writebatch_put(batch_, key, Hash256::size_bytes, text_of(*w.value),
                                    w.value->size());
            } else {
                api_.writebatch_delete(batch_, key, Hash256::size_bytes);
            }
        }
        char* error = nullptr;
        api_.write(db_, durable_, batch_, &error);
        return checked(error);
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override {
        char* error = nullptr;
        rocksdb_pinnableslice_t* const found =
            api_.get_pinned(db_, read_options_, text_of(key.view()), Hash256::size_bytes, &error);
        MILLRACE_CHECK(checked(error));
        if (found == nullptr) { return std::nullopt; }
        size_t bytes = 0;
        const char* const data = api_.pinnableslice_value(found, &bytes);
        Bytes value{data, data + bytes};
        api_.pinnableslice_destroy(found);
        return value;
    }
    Result<void> close() override {
        end();
        return {};
    }
    std::optional<uint64_t> memory_bytes() const override {
        uint64_t total = 0;
        for (const char* const part :
             {"rocksdb.block-cache-usage", "rocksdb.estimate-table-readers-mem",
              "rocksdb.cur-size-all-mem-tables"}) {
            uint64_t bytes = 0;
            if (api_.property_int(db_, part, &bytes) != 0) { return std::nullopt; }
            total += bytes;
        }
        return total;
    }

private:
    Result<void> checked(char* error) const {
        if (error == nullptr) { return {}; }
        const std::string message = error;
        api_.free(error);
        return fail(ErrorCode::io, "rocksdb: " + message);
    }
    void end() noexcept {
        if (db_ != nullptr) { api_.close(db_); }
        db_ = nullptr;
    }

    const SharedLibrary library_;
    const Api api_;
    const std::string directory_;
    rocksdb_cache_t* cache_ = nullptr;
    rocksdb_options_t* options_ = nullptr;
    rocksdb_readoptions_t* read_options_ = nullptr;
    rocksdb_writeoptions_t* durable_ = nullptr;
    rocksdb_writebatch_t* batch_ = nullptr;
    rocksdb_t* db_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Store>> open_rocksdb_store(const std::string& directory) {
    MILLRACE_TRY(SharedLibrary library, SharedLibrary::load(MILLRACE_ROCKSDB_SONAME));
    Api api;
    MILLRACE_CHECK(api.load(library));
    auto store = std::make_unique<RocksdbStore>(std::move(library), api, directory);
    MILLRACE_CHECK(store->open());
    return store;
}

}  // namespace millrace::node::state_bench

#else

namespace millrace::node::state_bench {

Result<std::unique_ptr<Store>> open_rocksdb_store(const std::string&) {
    return fail(ErrorCode::unavailable,
                "librocksdb-dev was not there when this was built; scripts/install-deps --bench");
}

}  // namespace millrace::node::state_bench

#endif
