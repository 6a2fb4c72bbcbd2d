// SPDX-License-Identifier: Apache-2.0
// Owns reads of the chain and the state, simulations and events.
#include "host/node/api/node_api.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "evm/core/block_rules.hpp"
#include "host/base/hex.hpp"
#include "host/node/api/convert.hpp"
#include "host/node/api/engine_proof.hpp"
#include "host/node/api/simulation.hpp"

namespace millrace::node {

using net::ApiErrorKind;
using net::ApiResult;
using net::BlockRef;

namespace {

/// How long a simulation waits for the hash of a closed block; a root takes a tenth of it.
constexpr int64_t seal_wait_max_us = 2'000'000;

/// How often something is read whose blocks are being taken back meanwhile.
constexpr unsigned read_attempts_max = 3;
bool is_taken_back(const Error& error) noexcept { return error.code == ErrorCode::conflict; }

}  // namespace

SequencerNode::SequencerNode(const NodeApiOptions& options, const sequencer::Genesis& genesis,
                             const evm::PrecompileSet& precompiles, sequencer::Sequencer& sequencer,
                             sequencer::ChainView& view)
    : options_(options),
      genesis_(genesis),
      precompiles_(precompiles),
      sequencer_(sequencer),
      view_(view),
      code_(sequencer.shared_code()) {
    view_.add_observer(this);
    sequencer_.set_pool_observer(this);
}

SequencerNode::~SequencerNode() { view_.remove_observer(this); }

std::vector<net::ReadinessCheck> SequencerNode::readiness() const {
    const bool running = sequencer_.running();
    const int64_t age_s = (clock_.steady_us() - sequencer_.last_seal_us()) / 1'000'000;
    // Just after the start no block has been sealed yet.
    const bool fresh = sequencer_.last_seal_us() == 0 || age_s < 30;
    return {
        {"sequencer", running, running ? "running" : "stopped; restart the node"},
        {"disk", !sequencer_.disk_full(),
         sequencer_.disk_low()
             ? "less room than is reserved (disk.reserve-mib), so no transactions are taken; make "
               "room, the node goes on by itself"
         : sequencer_.disk_full() ? "full; make room, the node goes on by itself"
                                  : "has room"},
        {"memory", !sequencer_.memory_full(),
         sequencer_.memory_full()
             ? "the state has reached its limit (memory.state-mib), so no transactions are taken; "
               "raise the limit, if the machine has more, and start again"
             : "within its limit"},
        {"head_age", fresh,
         fresh ? "blocks are sealed"
               : "no block for " + std::to_string(age_s) + " s; see the log"}};
}

ApiResult<SequencerNode::Resolved> SequencerNode::resolve(const BlockRef& ref) const {
    Resolved r;
    auto take = [&](Result<sequencer::SealedPtr> found) -> ApiResult<Resolved> {
        if (!found) { return std::unexpected(to_api_error(found.error())); }
        r.sealed = *found;
        return r;
    };
    switch (ref.kind) {
        case BlockRef::Kind::pending:
            r.open = view_.open_block();
            if (!r.open) { r.sealed = view_.head(); }
            return r;
        // No settlement yet: what is sealed is as safe and final as it gets.
        case BlockRef::Kind::latest:
        case BlockRef::Kind::safe:
        case BlockRef::Kind::finalized: r.sealed = view_.head(); return r;
        case BlockRef::Kind::earliest: return take(view_.sealed(genesis_.header.number));
        case BlockRef::Kind::number: return take(view_.sealed(ref.number_value));
        case BlockRef::Kind::hash: return take(view_.sealed(ref.hash_value));
    }
    return r;
}

Result<void> SequencerNode::open_state(const BlockRef& ref, const Resolved& resolved,
                                       State& state) {
    const auto hashes = [this](uint64_t n) { return hash_of(n); };
    if (ref.kind == BlockRef::Kind::latest || ref.kind == BlockRef::Kind::pending) {
        state.now.emplace(view_.latest_state(), hashes);
        return {};
    }
    if (resolved.sealed == nullptr) { return fail(ErrorCode::not_found, "header not found"); }
    if (auto in_memory = view_.state_after(resolved.sealed->header.number)) {
        state.now.emplace(*std::move(in_memory), hashes);
        return {};
    }
    MILLRACE_TRY(auto source, past_state(*resolved.sealed));
    state.past.emplace(std::move(source), hashes);
    return {};
}

/// Out of the state engine, for what the memory has no more. The words are those that clients of
/// geth look for.
Result<PastView::Source> SequencerNode::past_state(const sequencer::SealedBlock& block) const {
    const uint64_t number = block.header.number;
    const auto missing = [number](const std::string& why) {
        return fail(ErrorCode::not_found, "missing trie node (the state of block " +
                                              std::to_string(number) + " is not kept: " + why +
                                              ")");
    };
    if (sequencer_.commitment_kind().type != sequencer::CommitmentKind::Type::qmdb) {
        return missing("the memory has no state that old, see --history-records");
    }
    MILLRACE_TRY(auto states, sequencer_.committed_states(number));
    if (number < states->oldest_block()) {
        return missing("those of blocks " + std::to_string(states->oldest_block()) + " to " +
                       std::to_string(states->newest_block()) + " are, see --history");
    }
    MILLRACE_TRY(const Hash256 root, states->root(number));
    if (root != block.header.state_root) {
        return fail(ErrorCode::conflict, "block " + std::to_string(number) + " was taken back");
    }
    return PastView::Source{std::move(states), number, view_.latest_state(),
                            options_.past_reads_max};
}

template <class Read>
auto SequencerNode::with_state(const BlockRef& ref, Read read)
    -> ApiResult<std::invoke_result_t<Read, ReadView&>> {
    for (unsigned attempt = 1;; ++attempt) {
        const auto r = resolve(ref);
        if (!r) { return std::unexpected(r.error()); }
        State state;
        Result<void> done = open_state(ref, *r, state);
        if (done) {
            auto out = read(state.view());
            done = state.view().status();
            if (done) { return out; }
        }
        if (!is_taken_back(done.error()) || attempt == read_attempts_max) {
            return std::unexpected(to_api_error(done.error()));
        }
    }
}

Hash256 SequencerNode::hash_of(uint64_t number) const {
    const auto b = view_.sealed(number);
    return b && *b != nullptr ? (*b)->hash : Hash256{};
}

// --- Chain ---

ApiResult<std::shared_ptr<const net::BlockData>> SequencerNode::block(const BlockRef& ref) {
    auto r = resolve(ref);
    if (!r) { return std::unexpected(r.error()); }
    if (r->open) { return std::make_shared<const net::BlockData>(to_net(*r->open)); }
    if (r->sealed == nullptr) { return std::shared_ptr<const net::BlockData>{}; }
    return std::make_shared<const net::BlockData>(to_net(*r->sealed));
}

ApiResult<std::optional<std::vector<net::ReceiptData>>>
SequencerNode::block_receipts(const BlockRef& ref) {
    auto r = resolve(ref);
    if (!r) { return std::unexpected(r.error()); }
    std::vector<net::ReceiptData> out;
    if (r->open) {
        for (const auto& m : r->open->mini_blocks) {
            for (const auto& t : m->transactions) {
                out.push_back(receipt_to_net(locate(r->open->open, t)));
            }
        }
        return out;
    }
    if (r->sealed == nullptr) { return std::optional<std::vector<net::ReceiptData>>{}; }
    for (size_t i = 0; i < r->sealed->transactions.size(); ++i) {
        out.push_back(receipt_to_net(locate(*r->sealed, i)));
    }
    return out;
}

ApiResult<std::optional<net::TransactionData>> SequencerNode::transaction(const Hash256& hash) {
    if (const auto found = view_.find_transaction(hash)) { return to_net(*found); }
    if (const auto pooled = sequencer_.pool_index().find(hash)) { return pending_to_net(pooled); }
    // It may have become durable between the two looks.
    if (const auto found = view_.find_transaction(hash)) { return to_net(*found); }
    return std::optional<net::TransactionData>{};
}

ApiResult<std::optional<net::ReceiptData>> SequencerNode::receipt(const Hash256& hash) {
    if (const auto found = view_.find_transaction(hash)) { return receipt_to_net(*found); }
    return std::optional<net::ReceiptData>{};
}

ApiResult<std::vector<net::LogData>> SequencerNode::logs(const net::LogQuery& query) {
    std::vector<net::LogData> out;
    // False when there are more than asked for; nothing more is collected then.
    auto take = [&](const sequencer::LocatedTransaction& t) {
        if (!query.filter.may_match(t.transaction->receipt.bloom)) { return true; }
        for (net::LogData& l : logs_to_net(t, false)) {
            if (!query.filter.matches(l.log)) { continue; }
            if (out.size() >= query.results_max) { return false; }
            out.push_back(std::move(l));
        }
        return true;
    };
    auto take_block = [&](const sequencer::SealedBlock& b) {
        if (!query.filter.may_match(b.header.logs_bloom)) { return true; }
        for (size_t i = 0; i < b.transactions.size(); ++i) {
            if (!take(locate(b, i))) { return false; }
        }
        return true;
    };
    auto too_many = [&](std::optional<std::pair<uint64_t, uint64_t>> retry_range) {
        net::ApiError e{ApiErrorKind::limit,
                        "query returns more than " + std::to_string(query.results_max) + " logs",
                        {},
                        {},
                        retry_range};
        // A single block that does not fit must be narrowed by the filter.
        if (!retry_range) { e.message += " of one block; narrow it by address or topics"; }
        return std::unexpected(std::move(e));
    };
    if (query.block_hash) {
        auto b = view_.sealed(*query.block_hash);
        if (!b) { return std::unexpected(to_api_error(b.error())); }
        if (*b == nullptr) { return net::api_fail(ApiErrorKind::not_found, "unknown block"); }
        if (!take_block(**b)) { return too_many({}); }
        return out;
    }
    // Before the head: what is sealed in between is found in the chain, not missed in both.
    const auto unsealed = query.to.kind == BlockRef::Kind::pending
                              ? view_.unsealed_blocks()
                              : std::vector<sequencer::OpenBlockView>{};
    const uint64_t head = view_.head()->header.number;
    auto number_of = [&](const BlockRef& ref) -> ApiResult<uint64_t> {
        switch (ref.kind) {
            case BlockRef::Kind::pending: return head + 1;
            case BlockRef::Kind::number: return ref.number_value;
            case BlockRef::Kind::earliest: return genesis_.header.number;
            default: return head;
        }
    };
    auto from = number_of(query.from);
    auto to = number_of(query.to);
    if (*from > *to) {
        return net::api_fail(ApiErrorKind::invalid_params,
                             "invalid block range params: fromBlock is after toBlock");
    }
    const uint64_t last = std::min(*to, head);
    if (*from <= last && last - *from + 1 > query.blocks_max) {
        net::ApiError e{ApiErrorKind::limit,
                        "query spans more than " + std::to_string(query.blocks_max) + " blocks",
                        {},
                        {},
                        {}};
        e.retry_range = {{*from, *from + query.blocks_max - 1}};
        return std::unexpected(std::move(e));
    }
    for (uint64_t n = *from; n <= last; ++n) {
        auto b = view_.sealed(n);
        if (!b) { return std::unexpected(to_api_error(b.error())); }
        if (*b == nullptr) { break; }  // undone meanwhile
        if (!take_block(**b)) {
            // Everything before this block fits.
            if (n == *from) { return too_many({}); }
            return too_many({{*from, n - 1}});
        }
    }
    for (const sequencer::OpenBlockView& block : unsealed) {
        if (block.open.number < *from || block.open.number <= last) { continue; }
        for (const auto& m : block.mini_blocks) {
            for (const auto& t : m->transactions) {
                if (take(locate(block.open, t))) { continue; }
                if (*from > last) { return too_many({}); }
                return too_many({{*from, last}});
            }
        }
    }
    return out;
}

// --- State ---

ApiResult<U256> SequencerNode::balance(const Address& address, const BlockRef& ref) {
    return with_state(ref, [&](ReadView& state) { return state.balance(address); });
}

ApiResult<uint64_t> SequencerNode::nonce(const Address& address, const BlockRef& ref) {
    // The pool is asked first: should the transaction become durable in between, the state has it.
    const auto pooled = ref.kind == BlockRef::Kind::pending
                            ? sequencer_.pool_index().next_nonce(address)
                            : std::nullopt;
    return with_state(
        ref, [&](ReadView& state) { return std::max(state.nonce(address), pooled.value_or(0)); });
}

ApiResult<Bytes> SequencerNode::code(const Address& address, const BlockRef& ref) {
    return with_state(
        ref, [&](ReadView& state) -> Bytes { return *state.code(state.code_hash(address)); });
}

ApiResult<U256> SequencerNode::storage(const Address& address, const U256& slot,
                                       const BlockRef& ref) {
    return with_state(ref, [&](ReadView& state) { return state.storage(address, slot); });
}

ApiResult<sequencer::SealedPtr> SequencerNode::proven_block(const BlockRef& ref) const {
    if (ref.kind == BlockRef::Kind::pending) {
        return net::api_fail(ApiErrorKind::not_found,
                             "the pending block has no state root yet; ask for \"latest\"");
    }
    auto r = resolve(ref);
    if (!r) { return std::unexpected(r.error()); }
    if (r->sealed == nullptr) { return net::api_fail(ApiErrorKind::not_found, "header not found"); }
    return std::move(r->sealed);
}

ApiResult<net::AccountProof>
SequencerNode::proof(const Address& address, const std::vector<U256>& slots, const BlockRef& ref) {
    if (sequencer_.commitment_kind().type == sequencer::CommitmentKind::Type::qmdb) {
        return net::api_fail(ApiErrorKind::unsupported,
                             "the state commitment of this chain is qmdb, which has no Merkle "
                             "Patricia proofs; call millrace_getProof");
    }
    if (!sequencer_.proves_accounts()) { return NodeApi::proof(address, slots, ref); }
    const auto block = proven_block(ref);
    if (!block) { return std::unexpected(block.error()); }
    auto proof = sequencer_.prove_account(**block, address, slots);
    if (!proof) { return std::unexpected(to_api_error(proof.error())); }
    net::AccountProof out{address,
                          proof->account.balance,
                          proof->account.nonce,
                          proof->account.code_hash,
                          proof->account.storage_root,
                          std::move(proof->account_nodes),
                          {}};
    for (evm::StorageProof& s : proof->storage) {
        out.storage.push_back({s.key, s.value, std::move(s.nodes)});
    }
    return out;
}

ApiResult<net::EngineProof> SequencerNode::engine_proof(const Address& address,
                                                        const std::vector<U256>& slots,
                                                        const BlockRef& ref, bool together) {
    const auto& kind = sequencer_.commitment_kind();
    if (sequencer_.proves_accounts()) {
        return net::api_fail(ApiErrorKind::unsupported,
                             "the state commitment of this chain is mpt, whose proofs are those of "
                             "Merkle Patricia tries; call eth_getProof");
    }
    if (kind.type != sequencer::CommitmentKind::Type::qmdb) {
        return NodeApi::engine_proof(address, slots, ref, together);
    }
    for (unsigned attempt = 1;; ++attempt) {
        const auto block = proven_block(ref);
        if (!block) { return std::unexpected(block.error()); }
        const auto proof = [&]() -> Result<net::EngineProof> {
            MILLRACE_TRY(const auto source, past_state(**block));
            return prove_by_engine(*source.states, kind.hash, (*block)->header, (*block)->hash,
                                   address, slots, together);
        }();
        if (proof) { return *proof; }
        if (!is_taken_back(proof.error()) || attempt == read_attempts_max) {
            return std::unexpected(to_api_error(proof.error()));
        }
    }
}

// --- Simulation ---

template <class F>
auto SequencerNode::with_context(const BlockRef& ref, const net::BlockOverrides& overrides, F f) {
    using R = decltype(f(std::declval<const SimulationContext&>()));
    // Who asks for a hash that is not known yet waits for it, and nobody else does.
    unsigned attempt = 1;
    for (const int64_t give_up_us = clock_.steady_us() + seal_wait_max_us;;) {
        std::optional<uint64_t> awaited;
        bool taken_back = false;
        R result = try_context(ref, overrides, f, awaited, taken_back);
        if (taken_back && attempt++ < read_attempts_max) { continue; }
        if (!awaited) { return result; }
        for (;;) {
            if (clock_.steady_us() > give_up_us) {
                return R(net::api_fail(ApiErrorKind::not_ready,
                                       "the hash of block " + std::to_string(*awaited) +
                                           " is not known yet; try again"));
            }
            if (view_.head()->header.number >= *awaited) { break; }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

/// Once; `awaited` gets the block whose hash was asked for and is not known, `taken_back` whether
/// the block was undone meanwhile.
template <class F>
auto SequencerNode::try_context(const BlockRef& ref, const net::BlockOverrides& overrides, F& f,
                                std::optional<uint64_t>& awaited, bool& taken_back) {
    using R = decltype(f(std::declval<const SimulationContext&>()));
    // Looked up once: between two looks a block may be undone.
    auto r = resolve(ref);
    if (!r) { return R(std::unexpected(r.error())); }
    // At `latest` the state is that of the newest mini-block, so the block around it is the open
    // one. Looked up before the state: what a seal brings is in the state before the block shows
    // it.
    if (ref.kind == BlockRef::Kind::latest && !r->open) { r->open = view_.open_block(); }
    State state;
    if (const auto opened = open_state(ref, *r, state); !opened) {
        taken_back = is_taken_back(opened.error());
        return R(std::unexpected(to_api_error(opened.error())));
    }
    evm::BlockEnvironment env;
    auto from_open = [&](const sequencer::OpenBlock& o) {
        env.number = o.number;
        env.timestamp = o.timestamp_s;
        env.gas_limit = o.gas_limit;
        env.coinbase = o.coinbase;
        env.prev_randao = o.prev_randao;
        env.base_fee_per_gas = o.base_fee_per_gas;
        env.blob_base_fee = U256{1};
    };
    if (r->open) {
        from_open(r->open->open);
    } else {
        const evm::BlockHeader& h = r->sealed->header;
        from_open({h.number,
                   h.timestamp,
                   h.parent_hash,
                   h.base_fee_per_gas.value_or(U256{}),
                   h.gas_limit,
                   h.coinbase,
                   h.prev_randao,
                   {}});
    }
    const evm::Rules rules = genesis_.spec.rules_at(env.number, env.timestamp);
    apply_overrides(env, overrides);
    // Who asks for the open block has the state of the memory.
    if (state.now && r->open && r->open->open.parent_promised) {
        const uint64_t parent = r->open->open.number - 1;
        SnapshotView::Promised promised{parent, {}, U256{parent % evm::history_serve_window}};
        for (const evm::OpeningCall& c : evm::opening_calls(rules, {}, {})) {
            if (c.takes_parent_hash) { promised.contract = c.target; }
        }
        state.now->promise(promised);
    }
    R result =
        f(SimulationContext{state.view(), rules, precompiles_, env, options_.call_gas_cap, &code_});
    if (const auto status = state.view().status(); !status) {
        taken_back = is_taken_back(status.error());
        return R(std::unexpected(to_api_error(status.error())));
    }
    if (state.now && state.now->awaits_parent()) { awaited = r->open->open.number - 1; }
    return result;
}

ApiResult<net::CallResult> SequencerNode::call(const net::CallRequest& request, const BlockRef& ref,
                                               const net::StateOverrides& state,
                                               const net::BlockOverrides& block) {
    return with_context(
        ref, block, [&](const SimulationContext& c) { return simulate_call(c, request, state); });
}

ApiResult<uint64_t> SequencerNode::estimate_gas(const net::CallRequest& request,
                                                const BlockRef& ref,
                                                const net::StateOverrides& state,
                                                const net::BlockOverrides& block) {
    return with_context(ref, block, [&](const SimulationContext& c) {
        return node::estimate_gas(c, request, state);
    });
}

// --- Fees ---

ApiResult<U256> SequencerNode::max_priority_fee_per_gas() {
    // The least tip that is worth anything: priority costs more only when the block is contended.
    return U256{1'000'000};
}

ApiResult<U256> SequencerNode::gas_price() {
    const auto open = view_.open_block();
    const U256 base =
        open ? open->open.base_fee_per_gas : view_.head()->header.base_fee_per_gas.value_or(U256{});
    return base + *max_priority_fee_per_gas();
}

ApiResult<net::FeeHistory> SequencerNode::fee_history(uint64_t block_count, const BlockRef& newest,
                                                      const std::vector<double>& percentiles) {
    BlockRef ref = newest;
    if (ref.kind == BlockRef::Kind::pending) { ref = BlockRef::latest(); }
    auto r = resolve(ref);
    if (!r) { return std::unexpected(r.error()); }
    if (r->sealed == nullptr) {
        return net::api_fail(ApiErrorKind::not_found, "request beyond head block");
    }
    const uint64_t last = r->sealed->header.number;
    const uint64_t count = std::min(block_count, last + 1);
    net::FeeHistory h;
    h.oldest_block = last + 1 - count;
    const evm::BlockHeader* previous = nullptr;
    sequencer::SealedPtr kept;
    for (uint64_t n = h.oldest_block; n <= last; ++n) {
        auto b = view_.sealed(n);
        if (!b || *b == nullptr) {
            return net::api_fail(ApiErrorKind::not_found,
                                 "block " + std::to_string(n) + " is not available");
        }
        kept = *b;
        previous = &kept->header;
        const U256 base = previous->base_fee_per_gas.value_or(U256{});
        h.base_fee_per_gas.push_back(base);
        h.gas_used_ratio.push_back(static_cast<double>(previous->gas_used) /
                                   static_cast<double>(previous->gas_limit));
        h.base_fee_per_blob_gas.push_back(U256{1});
        h.blob_gas_used_ratio.push_back(0);
        if (percentiles.empty()) { continue; }
        std::vector<std::pair<U256, uint64_t>> tips;
        for (const auto& t : kept->transactions) {
            tips.emplace_back(t->effective_gas_price > base ? t->effective_gas_price - base
                                                            : U256{},
                              t->gas_used);
        }
        std::sort(tips.begin(), tips.end());
        std::vector<U256>& rewards = h.reward.emplace_back();
        size_t at = 0;
        uint64_t gas = tips.empty() ? 0 : tips[0].second;
        for (const double p : percentiles) {
            const auto threshold =
                static_cast<uint64_t>(static_cast<double>(previous->gas_used) * p / 100);
            while (at + 1 < tips.size() && gas < threshold) { gas += tips[++at].second; }
            rewards.push_back(tips.empty() ? U256{} : tips[at].first);
        }
    }
    std::optional<U256> next_base;
    for (const sequencer::OpenBlockView& block : view_.unsealed_blocks()) {
        if (block.open.number == last + 1) { next_base = block.open.base_fee_per_gas; }
    }
    if (!next_base) {
        if (const auto next = view_.sealed(last + 1); next && *next != nullptr) {
            next_base = (*next)->header.base_fee_per_gas;
        }
    }
    h.base_fee_per_gas.push_back(next_base.value_or(h.base_fee_per_gas.back()));
    h.base_fee_per_blob_gas.push_back(U256{1});
    return h;
}

// --- Transactions ---

void SequencerNode::send_raw_transaction(Bytes raw, net::SendCallback done) {
    sequencer_.submit(
        std::move(raw),
        [done = std::move(done)](std::expected<sequencer::Admission, sequencer::Refusal> r) {
            if (r) {
                done(net::SendOutcome{r->hash, r->executable, r->expected_nonce});
            } else {
                done(to_api_error(r.error()));
            }
        });
}

net::WatchId SequencerNode::watch_receipt(const Hash256& hash, net::ReceiptCallback done) {
    return view_.watch(hash, [done = std::move(done)](const sequencer::LocatedTransaction* t,
                                                      std::string_view reason) {
        if (t != nullptr) {
            done(receipt_to_net(*t));
        } else {
            done(net::api_fail(ApiErrorKind::rejected, std::string(reason)));
        }
    });
}

ApiResult<net::PoolStatus> SequencerNode::pool_status() {
    const auto [executable, queued] = sequencer_.pool_counts();
    return net::PoolStatus{executable, queued};
}

ApiResult<net::PoolContent> SequencerNode::pool_content(const std::optional<Address>& sender) {
    auto content = sequencer_.pool_content(sender);
    if (!content) { return std::unexpected(to_api_error(content.error())); }
    net::PoolContent out;
    auto take = [&](const std::vector<sequencer::AdmittedPtr>& from,
                    std::vector<net::TransactionData>& to) {
        for (const auto& t : from) { to.push_back(pending_to_net(t)); }
    };
    take(content->executable, out.pending);
    take(content->queued, out.queued);
    return out;
}

// --- Events ---

void SequencerNode::add_event_sink(std::shared_ptr<net::EventSink> sink) {
    const std::lock_guard telling(telling_mutex_);
    const std::lock_guard lock(sinks_mutex_);
    sinks_.push_back(std::move(sink));
}

void SequencerNode::remove_event_sink(const net::EventSink* sink) {
    const std::lock_guard telling(telling_mutex_);
    const std::lock_guard lock(sinks_mutex_);
    std::erase_if(sinks_, [&](const auto& s) { return s.get() == sink; });
}

bool SequencerNode::has_sinks() const {
    const std::shared_lock lock(sinks_mutex_);
    return !sinks_.empty();
}

template <class Call>
void SequencerNode::tell_sinks(Call call) {
    const std::lock_guard telling(telling_mutex_);
    const std::shared_lock lock(sinks_mutex_);
    for (const auto& s : sinks_) { call(*s); }
}

void SequencerNode::on_mini_block(const sequencer::MiniBlockPtr& m) {
    if (!has_sinks()) { return; }
    auto event = std::const_pointer_cast<net::MiniBlockEvent>(to_event(*m));
    // Accounts of which only slots changed: their nonce and balance come from the state just
    // published.
    const auto state = view_.latest_state();
    for (net::StateChange& c : event->state_changes) {
        if (const auto a = state->account(c.address)) {
            c.nonce = a->nonce;
            c.balance = a->balance;
        }
    }
    tell_sinks([&](net::EventSink& s) { s.on_mini_block(event); });
}

void SequencerNode::on_sealed(const sequencer::SealedPtr& block) {
    if (!has_sinks()) { return; }
    const auto event = to_event(*block);
    tell_sinks([&](net::EventSink& s) { s.on_head(event); });
}

void SequencerNode::on_reverted(uint64_t last_kept, const std::vector<sequencer::SealedPtr>& sealed,
                                const std::vector<sequencer::MiniBlockPtr>& open) {
    auto event = std::make_shared<net::RemovedEvent>();
    event->last_kept_block = last_kept;
    // Newest first, as they are taken back.
    for (auto m = open.rbegin(); m != open.rend(); ++m) {
        for (auto t = (*m)->transactions.rbegin(); t != (*m)->transactions.rend(); ++t) {
            const sequencer::LocatedTransaction l{*t, (*m)->block_number, Hash256{},
                                                  (*m)->block_timestamp_s, U256{}};
            auto logs = logs_to_net(l, true);
            event->logs.insert(event->logs.end(), logs.rbegin(), logs.rend());
        }
    }
    event->open_block_logs = event->logs.size();
    for (auto b = sealed.rbegin(); b != sealed.rend(); ++b) {
        event->block_hashes.push_back((*b)->hash);
        for (size_t i = (*b)->transactions.size(); i-- > 0;) {
            auto logs = logs_to_net(locate(**b, i), true);
            event->logs.insert(event->logs.end(), logs.rbegin(), logs.rend());
        }
    }
    tell_sinks([&](net::EventSink& s) { s.on_removed(event); });
}

void SequencerNode::on_executable(std::span<const sequencer::AdmittedPtr> transactions) {
    const auto wanted = [this] {
        const std::shared_lock lock(sinks_mutex_);
        return std::ranges::any_of(sinks_,
                                   [](const auto& s) { return s->wants_pending_transactions(); });
    };
    if (!wanted()) { return; }
    auto event = std::make_shared<net::PendingTransactionEvent>();
    for (const auto& t : transactions) { event->transactions.push_back(pending_to_net(t)); }
    tell_sinks([&](net::EventSink& s) { s.on_pending_transactions(event); });
}

bool SequencerNode::wants_executed() const noexcept {
    const std::shared_lock lock(sinks_mutex_);
    return std::ranges::any_of(sinks_, [](const auto& s) { return s->wants_previews(); });
}

void SequencerNode::on_executed(const sequencer::OpenBlock& block,
                                const std::vector<sequencer::ExecutedPtr>& transactions) {
    auto event = std::make_shared<net::PreviewEvent>();
    event->block_number = block.number;
    event->block_timestamp = block.timestamp_s;
    for (const auto& t : transactions) {
        const sequencer::LocatedTransaction l = locate(block, t);
        event->transactions.push_back(to_net(l));
        event->receipts.push_back(receipt_to_net(l));
    }
    tell_sinks([&](net::EventSink& s) { s.on_preview(event); });
}

void SequencerNode::on_dropped(const sequencer::AdmittedPtr& transaction, std::string_view reason) {
    view_.give_up(transaction->hash, reason);
}

}  // namespace millrace::node
