// SPDX-License-Identifier: Apache-2.0
// Owns the timing of what full nodes need of a mini-block: making, encoding and decoding it, and
// both replays beside the sequencer's serial execution. Everything is compared before it is timed.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "evm/core/block_rules.hpp"
#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "evm/tx/receipts_digest.hpp"
#include "evm/tx/transaction.hpp"
#include "host/base/hex.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/validator/detail/net_writes.hpp"
#include "host/validator/serial_execution.hpp"
#include "host/validator/stored_pre_state.hpp"
#include "kernels/keccak/keccak.hpp"
#include "net/sync/access_codec.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::bench {
namespace {

using namespace validator;

constexpr size_t count = 4096;
constexpr uint64_t gwei = 1'000'000'000;
const Address token = address_literal("0x00000000000000000000000000000000000070c0");

/// What the loads are: who pays whom.
enum class Load : uint8_t {
    transfers,       ///< 4,096 senders, 4,096 receivers
    ring_transfers,  ///< 256 accounts, each to the next, 16 times
    tokens,          ///< of one ERC-20 token, 4,096 holders to 4,096 others
};

Address address_of(std::string_view kind, uint64_t i) {
    return Address::from(
        kernels::keccak256(as_bytes(std::string(kind) + std::to_string(i))).view().first(20));
}

U256 holder_slot(const Address& holder) {
    uint8_t b[64] = {};
    std::memcpy(b + 12, holder.data(), 20);
    return to_u256(kernels::keccak256_64(b));
}

/// transfer(address,uint256) of a token: two balances in a mapping at slot 0, and its event.
std::string token_code() {
    const std::string event =
        to_hex(kernels::keccak256(as_bytes("Transfer(address,address,uint256)"))).substr(2);
    return "335f5260405f2080546024358082"
           "10605d5790039055"
           "6004355f5260405f20805460243501"
           "9055"
           "6024355f52600435337f" +
           event + "60205fa360015f5260205ff35b5f5ffd";
}

std::optional<Hash256> no_block_hashes(uint64_t) { return Hash256{}; }

/// The state of a store as a serial execution reads it.
class StoredView final : public evm::StateView {
public:
    explicit StoredView(const PreState& s) : s_(s) {}
    bool account_exists(const Address&) override { return true; }
    uint64_t nonce(const Address& a) override { return s_.account(a)->nonce; }
    U256 balance(const Address& a) override { return s_.account(a)->balance; }
    bool balance_at_least(const Address& a, const U256& min) override { return balance(a) >= min; }
    Hash256 code_hash(const Address& a) override { return s_.account(a)->code_hash; }
    evm::CodePtr code(const Hash256& h) override { return s_.code(h); }
    U256 storage(const Address& a, const U256& k) override { return *s_.storage(a, k); }
    bool has_storage(const Address& a) override { return *s_.has_storage(a); }
    Hash256 block_hash(uint64_t) override { return {}; }

private:
    const PreState& s_;
};

/// A transaction's access that owns its parts.
struct OwnedAccess {
    uint64_t gas_used;
    bool success;
    std::vector<sync::AccountRead> reads;
    std::vector<sync::SlotRead> slot_reads;
    std::vector<sync::AccountWrite> writes;
    std::vector<sync::SlotWrite> slot_writes;

    // As a visitor of net writes.
    evm::StateView* before;
    sync::AccountWrite& of(const Address& a) {
        if (writes.empty() || writes.back().address != a) { writes.emplace_back().address = a; }
        return writes.back();
    }
    void nonce(const Address& a, uint64_t v) { of(a).nonce = v; }
    void balance(const Address& a, const U256& delta) {
        of(a).balance = before->balance(a) + delta;
    }
    void code(const Address& a, const Hash256&, const evm::CodePtr& c) {
        of(a).code_changed = true;
        of(a).code = c;
    }
    void slot(const Address& a, const U256& k, const U256& v) { slot_writes.push_back({a, k, v}); }
};

struct Workload {
    explicit Workload(Load load);

    evm::StandardPrecompiles precompiles;
    evm::ChainSpec spec;
    sequencer::OpenBlock open;
    std::unique_ptr<storage::StateStore> store = storage::make_memory_state_store();
    std::vector<sequencer::AdmittedPtr> admitted;
    std::vector<ReplayTransaction> transactions;
    ReplayBlock block;
    std::vector<OwnedAccess> accesses;
    std::vector<Hash256> hashes;
    sync::MiniBlockAccess access;
    Bytes encoded;

private:
    void add_transactions(Load load, storage::StateDelta& state);
    void record();
};

void Workload::add_transactions(Load load, storage::StateDelta& state) {
    const size_t accounts = load == Load::ring_transfers ? 256 : count;
    for (size_t i = 0; i < accounts; ++i) {
        storage::AccountDelta& a = state.accounts.emplace_back();
        a.address = address_of("sender", i);
        a.balance = U256{gwei} * U256{gwei};
        a.code_hash = evm::empty_code_hash;
        if (load == Load::tokens) {
            state.slots.push_back({token, holder_slot(a.address), U256{1'000'000'000}});
        }
    }
    for (size_t i = 0; i < count; ++i) {
        auto t = std::make_shared<sequencer::AdmittedTransaction>();
        evm::Transaction& tx = t->transaction;
        tx.type = evm::TxType::dynamic_fee;
        tx.chain_id = spec.rules.chain_id;
        tx.nonce = i / accounts;
        tx.max_priority_fee_per_gas = U256{gwei};
        tx.max_fee_per_gas = U256{3 * gwei};
        t->sender = address_of("sender", i % accounts);
        const Address to = load == Load::ring_transfers ? address_of("sender", (i + 1) % accounts)
                                                        : address_of("receiver", i);
        if (load == Load::tokens) {
            tx.to = token;
            tx.gas_limit = 100'000;
            tx.data.resize(4 + 64);
            std::memcpy(tx.data.data() + 16, to.data(), 20);
            tx.data.back() = static_cast<uint8_t>(1 + i % 100);
        } else {
            tx.to = to;
            tx.gas_limit = 21'000;
            tx.value = U256{1'000'000'007 + i};
        }
        tx.r = U256{i + 1, 1, 1, 1};
        tx.s = U256{1, 1, 1, i + 1};
        t->raw = evm::encode_transaction(tx);
        t->hash = kernels::keccak256(t->raw);
        admitted.push_back(t);
        transactions.push_back({&tx, t->hash, t->sender, {}});
        hashes.push_back(t->hash);
    }
}

Workload::Workload(Load load) {
    spec.rules = evm::millrace_rules(7331);
    spec.sequencer_fee_vault = address_of("vault", 0);
    spec.base_fee_vault = address_of("vault", 1);
    open.number = 1;
    open.timestamp_s = 1'700'000'001;
    open.base_fee_per_gas = U256{gwei};
    open.gas_limit = 10'000'000'000;
    open.coinbase = address_of("coinbase", 0);
    storage::StateDelta state;
    add_transactions(load, state);
    auto code = std::make_shared<const Bytes>(from_hex(token_code()).value());
    storage::AccountDelta& t = state.accounts.emplace_back();
    t.address = token;
    t.nonce = 1;
    t.code_hash = kernels::keccak256(*code);
    state.codes.push_back({t.code_hash, code});
    state.sort();
    MILLRACE_ASSERT(store->apply(1, state).has_value(), "the state is valid");
    record();
}

/// The access of the mini-block, and that of each transaction by itself.
void Workload::record() {
    block.rules = spec.rules_at(open.number, open.timestamp_s);
    block.environment.number = open.number;
    block.environment.timestamp = open.timestamp_s;
    block.environment.gas_limit = open.gas_limit;
    block.environment.coinbase = open.coinbase;
    block.environment.base_fee_per_gas = open.base_fee_per_gas;
    block.environment.blob_base_fee = evm::blob_base_fee(block.rules.blob, 0);
    const StoredPreState stored(store->snapshot(), no_block_hashes);
    StoredView base(stored);
    evm::StateOverlay overlay(&base);
    evm::StateOverlay again(&base);
    evm::Workspace workspace;
    SerialExecution serial(block, precompiles, overlay, workspace);
    for (const ReplayTransaction& t : transactions) {
        MILLRACE_ASSERT(serial.execute(t).has_value(), "every transaction is valid");
        RecordingView view(again);
        const auto r =
            evm::execute_transaction({*t.transaction, t.sender, {}}, view, workspace, block.rules,
                                     precompiles, block.environment, block.environment.gas_limit);
        MILLRACE_ASSERT(r.has_value() && r->success(), "every transaction succeeds");
        OwnedAccess& a = accesses.emplace_back();
        a.gas_used = r->gas_used;
        a.success = true;
        a.before = &again;
        validator::detail::visit_net_writes(r->changes, view, a);
        a.reads = view.reads();
        a.slot_reads = view.slot_reads();
        again.apply(r->changes, true);
    }
    serial.finish(access);
    sync::AccessBuilder builder;
    for (const OwnedAccess& a : accesses) {
        builder.add({a.gas_used, a.success, a.reads, a.slot_reads, a.writes, a.slot_writes});
    }
    sync::MiniBlockAccess built;
    builder.finish(access.header, built);
    MILLRACE_ASSERT(built == access, "both ways of making it agree");
    MILLRACE_ASSERT(sync::encode_access(access, encoded).has_value(), "it can be encoded");
}

const Workload& workload(Load load) {
    static std::unique_ptr<const Workload> all[3];
    auto& w = all[static_cast<size_t>(load)];
    if (w == nullptr) { w = std::make_unique<const Workload>(load); }
    return *w;
}

void report(benchmark::State& state, const Workload& w) {
    using benchmark::Counter;
    const auto transactions = static_cast<double>(state.iterations() * count);
    state.counters["transactions_per_second"] = Counter(transactions, Counter::kIsRate);
    state.counters["seconds_per_transaction"] =
        Counter(transactions, Counter::kIsRate | Counter::kInvert);
    state.counters["bytes_per_transaction"] =
        static_cast<double>(w.encoded.size()) / static_cast<double>(count);
}

/// The sequencer's own serial execution, with the mini-block's post-values and receipts digest.
void time_serial(benchmark::State& state, Load load) {
    const Workload& w = workload(load);
    std::vector<std::unique_ptr<sequencer::CellTable>> used;
    for (auto _ : state) {
        state.PauseTiming();
        used.clear();
        auto cells = std::make_unique<sequencer::CellTable>(w.store->snapshot());
        sequencer::BlockBuilder builder{w.spec, w.precompiles, *cells};
        builder.open(w.open);
        state.ResumeTiming();
        for (const sequencer::AdmittedPtr& t : w.admitted) {
            if (!builder.execute(t)) { state.SkipWithError("a transaction was refused"); }
        }
        const auto cut = builder.cut(1, 0);
        evm::ReceiptsDigest digest;
        for (const auto& t : cut.mini_block->transactions) { digest.add(t->receipt); }
        if (digest.finish() != w.access.header.receipts_digest) {
            state.SkipWithError("other receipts than the replay's");
        }
        state.PauseTiming();
        used.push_back(std::move(cells));
        state.ResumeTiming();
    }
    report(state, w);
}

void time_replay(benchmark::State& state, Load load, ReplayWay way, uint32_t threads) {
    const Workload& w = workload(load);
    Replayer replayer({threads}, w.precompiles);
    const StoredPreState stored(w.store->snapshot(), no_block_hashes);
    sequencer::CellTable cells{w.store->snapshot()};
    sequencer::BlockBuilder builder{w.spec, w.precompiles, cells};
    builder.open(w.open);
    for (const sequencer::AdmittedPtr& t : w.admitted) { builder.execute(t).value(); }
    const auto m = builder.cut(1, 0).mini_block;
    const auto first = replayer.replay(way, w.block, w.transactions, w.access, stored);
    if (!first) { return state.SkipWithError(first.error().text().c_str()); }
    if (first->post_values != m->post_values) {
        return state.SkipWithError("other post-values than the sequencer's");
    }
    for (auto _ : state) {
        const auto r = replayer.replay(way, w.block, w.transactions, w.access, stored);
        benchmark::DoNotOptimize(r.has_value());
    }
    report(state, w);
}

void time_build(benchmark::State& state, Load load) {
    const Workload& w = workload(load);
    sync::AccessBuilder builder;
    sync::MiniBlockAccess out;
    for (auto _ : state) {
        for (const OwnedAccess& a : w.accesses) {
            builder.add({a.gas_used, a.success, a.reads, a.slot_reads, a.writes, a.slot_writes});
        }
        builder.finish(w.access.header, out);
    }
    if (out != w.access) { state.SkipWithError("another access than before"); }
    report(state, w);
}

void time_encode(benchmark::State& state, Load load) {
    const Workload& w = workload(load);
    Bytes out;
    for (auto _ : state) {
        out.clear();
        benchmark::DoNotOptimize(sync::encode_access(w.access, out).has_value());
    }
    if (out != w.encoded) { state.SkipWithError("other bytes than before"); }
    report(state, w);
}

void time_decode(benchmark::State& state, Load load) {
    const Workload& w = workload(load);
    sync::MiniBlockAccess out;
    for (auto _ : state) {
        benchmark::DoNotOptimize(sync::decode_access(w.encoded, out).has_value());
    }
    if (out != w.access) { state.SkipWithError("another access than before"); }
    report(state, w);
}

void time_digest(benchmark::State& state, Load load) {
    const Workload& w = workload(load);
    for (auto _ : state) { benchmark::DoNotOptimize(sync::transactions_digest(w.hashes)); }
    report(state, w);
}

void register_all() {
    const std::pair<const char*, Load> loads[] = {{"transfers", Load::transfers},
                                                  {"ring_transfers", Load::ring_transfers},
                                                  {"tokens", Load::tokens}};
    for (const auto& [name, load] : loads) {
        const auto add = [&](const std::string& what, auto&& time) {
            benchmark::RegisterBenchmark((what + "/" + name).c_str(), time)
                ->UseRealTime()
                ->MeasureProcessCPUTime()
                ->Unit(benchmark::kMicrosecond);
        };
        add("build", [=](benchmark::State& s) { time_build(s, load); });
        add("encode", [=](benchmark::State& s) { time_encode(s, load); });
        add("decode", [=](benchmark::State& s) { time_decode(s, load); });
        add("transactions_digest", [=](benchmark::State& s) { time_digest(s, load); });
        add("serial", [=](benchmark::State& s) { time_serial(s, load); });
        for (const uint32_t threads : {1u, 2u}) {
            const std::string t = "/" + std::to_string(threads);
            add("replay_by_dependencies" + t, [=](benchmark::State& s) {
                time_replay(s, load, ReplayWay::by_dependencies, threads);
            });
            add("replay_by_values" + t,
                [=](benchmark::State& s) { time_replay(s, load, ReplayWay::by_values, threads); });
        }
    }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    millrace::bench::register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
