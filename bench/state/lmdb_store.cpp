// SPDX-License-Identifier: Apache-2.0
// Owns LMDB as a store of the benchmark.
#include "bench/state/store.hpp"

#if defined(MILLRACE_HAVE_LMDB)

#include <lmdb.h>

namespace millrace::state_bench {
namespace {

constexpr size_t map_bytes = size_t{64} << 30;

MDB_val item(ByteView v) { return {v.size(), const_cast<uint8_t*>(v.data())}; }

Result<void> checked(int code) {
    if (code == MDB_SUCCESS) { return {}; }
    return fail(ErrorCode::io, std::string{"lmdb: "} + mdb_strerror(code));
}

class LmdbStore final : public Store {
public:
    explicit LmdbStore(std::string directory) : directory_(std::move(directory)) {}
    ~LmdbStore() override { close(); }

    Result<void> open() {
        MILLRACE_CHECK(checked(mdb_env_create(&env_)));
        MILLRACE_CHECK(checked(mdb_env_set_mapsize(env_, map_bytes)));
        MILLRACE_CHECK(checked(mdb_env_open(env_, directory_.c_str(), MDB_NORDAHEAD, 0644)));
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(mdb_txn_begin(env_, nullptr, 0, &txn)));
        const int opened = mdb_dbi_open(txn, nullptr, 0, &table_);
        MILLRACE_CHECK(checked(opened));
        return checked(mdb_txn_commit(txn));
    }

    std::string name() const override { return "lmdb"; }
    Result<void> apply(uint64_t, std::span<const storage::qmdb::StateWrite> writes) override {
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(mdb_txn_begin(env_, nullptr, 0, &txn)));
        for (const auto& w : writes) {
            MDB_val key = item(w.key.view());
            MDB_val value{};
            int code = mdb_get(txn, table_, &key, &value);
            const bool there = code == MDB_SUCCESS;
            if (there || code == MDB_NOTFOUND) {
                code = MDB_SUCCESS;
                if (w.value) {
                    value = item(*w.value);
                    code = mdb_put(txn, table_, &key, &value, 0);
                } else if (there) {
                    code = mdb_del(txn, table_, &key, nullptr);
                }
            }
            if (code != MDB_SUCCESS) {
                mdb_txn_abort(txn);
                return checked(code);
            }
        }
        return checked(mdb_txn_commit(txn));
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override {
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn)));
        MDB_val k = item(key.view());
        MDB_val value{};
        const int code = mdb_get(txn, table_, &k, &value);
        std::optional<Bytes> out;
        if (code == MDB_SUCCESS) {
            const auto* const data = static_cast<const uint8_t*>(value.mv_data);
            out.emplace(data, data + value.mv_size);
        }
        mdb_txn_abort(txn);
        if (code != MDB_NOTFOUND) { MILLRACE_CHECK(checked(code)); }
        return out;
    }
    Result<void> reopen() override {
        close();
        return open();
    }

private:
    void close() noexcept {
        if (env_ != nullptr) { mdb_env_close(env_); }
        env_ = nullptr;
    }
    std::string directory_;
    MDB_env* env_ = nullptr;
    MDB_dbi table_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> make_lmdb_store(const std::string& directory) {
    auto store = std::make_unique<LmdbStore>(directory);
    MILLRACE_CHECK(store->open());
    return store;
}

}  // namespace millrace::state_bench

#else

namespace millrace::state_bench {

Result<std::unique_ptr<Store>> make_lmdb_store(const std::string&) {
    return fail(ErrorCode::unavailable, "liblmdb-dev was not there when this was built");
}

}  // namespace millrace::state_bench

#endif
