// SPDX-License-Identifier: Apache-2.0
// Owns LMDB as a store of the benchmark. The library is loaded when it is measured: a node never
// needs it.
#include "host/node/benchmark/state_store.hpp"

#if defined(MILLRACE_LMDB_SONAME)

#include <lmdb.h>

#include "host/node/benchmark/shared_library.hpp"

namespace millrace::node::state_bench {
namespace {

/// Address space only; the file grows as it is filled.
constexpr size_t map_bytes = size_t{256} << 30;

/// The functions that are used, by their names without the prefix.
struct Api {
#define MILLRACE_LMDB_FUNCTIONS(F) \
    F(strerror)                    \
    F(env_create)                  \
    F(env_set_mapsize)             \
    F(env_open)                    \
    F(env_close)                   \
    F(txn_begin)                   \
    F(txn_commit)                  \
    F(txn_abort)                   \
    F(dbi_open)                    \
    F(get)                         \
    F(put)                         \
    F(del)
#define MILLRACE_LMDB_POINTER(name) decltype(&mdb_##name) name = nullptr;
    MILLRACE_LMDB_FUNCTIONS(MILLRACE_LMDB_POINTER)

    Result<void> load(const SharedLibrary& library) {
#define MILLRACE_LMDB_FIND(name) MILLRACE_CHECK(library.find("mdb_" #name, name));
        MILLRACE_LMDB_FUNCTIONS(MILLRACE_LMDB_FIND)
        return {};
    }
};

MDB_val item(ByteView v) noexcept { return {v.size(), const_cast<uint8_t*>(v.data())}; }

class LmdbStore final : public Store {
public:
    LmdbStore(SharedLibrary library, const Api& api, std::string directory)
        : library_(std::move(library)), api_(api), directory_(std::move(directory)) {}
    ~LmdbStore() override { end(); }
    LmdbStore(const LmdbStore&) = delete;
    LmdbStore& operator=(const LmdbStore&) = delete;

    Result<void> open() override {
        MILLRACE_CHECK(checked(api_.env_create(&env_)));
        MILLRACE_CHECK(checked(api_.env_set_mapsize(env_, map_bytes)));
        MILLRACE_CHECK(checked(api_.env_open(env_, directory_.c_str(), MDB_NORDAHEAD, 0644)));
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(api_.txn_begin(env_, nullptr, 0, &txn)));
        if (auto r = checked(api_.dbi_open(txn, nullptr, 0, &table_)); !r) {
            api_.txn_abort(txn);
            return r;
        }
        return checked(api_.txn_commit(txn));
    }

    Result<void> apply(uint64_t, std::span<const storage::qmdb::StateWrite> writes) override {
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(api_.txn_begin(env_, nullptr, 0, &txn)));
        for (const auto& w : writes) {
            if (const int code = apply_one(txn, w); code != MDB_SUCCESS) {
                api_.txn_abort(txn);
                return checked(code);
            }
        }
        return checked(api_.txn_commit(txn));
    }
    Result<std::optional<Bytes>> get(const Hash256& key) override {
        MDB_txn* txn = nullptr;
        MILLRACE_CHECK(checked(api_.txn_begin(env_, nullptr, MDB_RDONLY, &txn)));
        MDB_val k = item(key.view());
        MDB_val value{};
        const int code = api_.get(txn, table_, &k, &value);
        std::optional<Bytes> out;
        if (code == MDB_SUCCESS) {
            const auto* const data = static_cast<const uint8_t*>(value.mv_data);
            out.emplace(data, data + value.mv_size);
        }
        api_.txn_abort(txn);
        if (code != MDB_NOTFOUND) { MILLRACE_CHECK(checked(code)); }
        return out;
    }
    Result<void> close() override {
        end();
        return {};
    }

private:
    int apply_one(MDB_txn* txn, const storage::qmdb::StateWrite& w) const noexcept {
        MDB_val key = item(w.key.view());
        MDB_val value{};
        const int code = api_.get(txn, table_, &key, &value);
        if (code != MDB_SUCCESS && code != MDB_NOTFOUND) { return code; }
        if (w.value) {
            value = item(*w.value);
            return api_.put(txn, table_, &key, &value, 0);
        }
        return code == MDB_SUCCESS ? api_.del(txn, table_, &key, nullptr) : MDB_SUCCESS;
    }
    Result<void> checked(int code) const {
        if (code == MDB_SUCCESS) { return {}; }
        return fail(ErrorCode::io, std::string{"lmdb: "} + api_.strerror(code));
    }
    void end() noexcept {
        if (env_ != nullptr) { api_.env_close(env_); }
        env_ = nullptr;
    }

    const SharedLibrary library_;
    const Api api_;
    const std::string directory_;
    MDB_env* env_ = nullptr;
    MDB_dbi table_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> open_lmdb_store(const std::string& directory) {
    MILLRACE_TRY(SharedLibrary library, SharedLibrary::load(MILLRACE_LMDB_SONAME));
    Api api;
    MILLRACE_CHECK(api.load(library));
    auto store = std::make_unique<LmdbStore>(std::move(library), api, directory);
    MILLRACE_CHECK(store->open());
    return store;
}

}  // namespace millrace::node::state_bench

#else

namespace millrace::node::state_bench {

Result<std::unique_ptr<Store>> open_lmdb_store(const std::string&) {
    return fail(ErrorCode::unavailable,
                "liblmdb-dev was not there when this was built; scripts/install-deps --bench");
}

}  // namespace millrace::node::state_bench

#endif
