// SPDX-License-Identifier: Apache-2.0
// Owns the node as net sees it: reads of the chain, simulations, transactions, events, dev methods.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <type_traits>
#include <unordered_map>

#include "evm/core/overlay.hpp"
#include "host/base/metrics.hpp"
#include "host/node/api/past_view.hpp"
#include "host/node/genesis.hpp"
#include "host/node/snapshot_view.hpp"
#include "host/sequencer/sequencer.hpp"
#include "net/node_api.hpp"

namespace millrace::node {

struct NodeApiOptions {
    std::string client_version;
    uint64_t call_gas_cap = 200'000'000;
    /// What one request may read of old states, in entries of the state engine's log (a microsecond
    /// each, when they are in memory).
    uint64_t past_reads_max = uint64_t{1} << 16;
    bool dev = false;
};

/// Implements the interface of net over the sequencer. Thread-safe as that interface demands. All
/// references outlive it; it registers itself as observer and leaves in its destructor.
class SequencerNode final : public net::NodeApi,
                            public net::DevApi,
                            public sequencer::ChainObserver,
                            public sequencer::PoolObserver {
public:
    SequencerNode(const NodeApiOptions& options, const sequencer::Genesis& genesis,
                  const evm::PrecompileSet& precompiles, sequencer::Sequencer& sequencer,
                  sequencer::ChainView& view);
    ~SequencerNode() override;

    // --- net::NodeApi ---
    uint64_t chain_id() const override { return genesis_.spec.rules.chain_id; }
    std::string client_version() const override { return options_.client_version; }
    uint64_t block_number() const override { return view_.head()->header.number; }
    std::optional<net::SyncStatus> syncing() const override { return std::nullopt; }
    uint64_t peer_count() const override { return 0; }
    std::vector<net::ReadinessCheck> readiness() const override;
    net::DevApi* dev() override { return options_.dev ? this : nullptr; }

    net::ApiResult<std::shared_ptr<const net::BlockData>> block(const net::BlockRef& ref) override;
    net::ApiResult<std::optional<std::vector<net::ReceiptData>>>
    block_receipts(const net::BlockRef& ref) override;
    net::ApiResult<std::optional<net::TransactionData>> transaction(const Hash256& hash) override;
    net::ApiResult<std::optional<net::ReceiptData>>
    receipt(const Hash256& transaction_hash) override;
    net::ApiResult<std::vector<net::LogData>> logs(const net::LogQuery& query) override;

    net::ApiResult<U256> balance(const Address& address, const net::BlockRef& ref) override;
    net::ApiResult<uint64_t> nonce(const Address& address, const net::BlockRef& ref) override;
    net::ApiResult<Bytes> code(const Address& address, const net::BlockRef& ref) override;
    net::ApiResult<U256> storage(const Address& address, const U256& slot,
                                 const net::BlockRef& ref) override;

    net::ApiResult<net::AccountProof> proof(const Address& address, const std::vector<U256>& slots,
                                            const net::BlockRef& ref) override;
    net::ApiResult<net::EngineProof> engine_proof(const Address& address,
                                                  const std::vector<U256>& slots,
                                                  const net::BlockRef& ref, bool together) override;

    net::ApiResult<net::CallResult> call(const net::CallRequest& request, const net::BlockRef& ref,
                                         const net::StateOverrides& state,
                                         const net::BlockOverrides& block) override;
    net::ApiResult<uint64_t> estimate_gas(const net::CallRequest& request, const net::BlockRef& ref,
                                          const net::StateOverrides& state,
                                          const net::BlockOverrides& block) override;

    net::ApiResult<U256> gas_price() override;
    net::ApiResult<U256> max_priority_fee_per_gas() override;
    net::ApiResult<U256> blob_base_fee() override { return U256{1}; }
    net::ApiResult<net::FeeHistory> fee_history(uint64_t block_count, const net::BlockRef& newest,
                                                const std::vector<double>& percentiles) override;

    void send_raw_transaction(Bytes raw, net::SendCallback done) override;
    net::WatchId watch_receipt(const Hash256& transaction_hash, net::ReceiptCallback done) override;
    void unwatch_receipt(net::WatchId id) override { view_.unwatch(id); }
    net::ApiResult<net::PoolStatus> pool_status() override;
    net::ApiResult<net::PoolContent> pool_content(const std::optional<Address>& sender) override;

    void add_event_sink(std::shared_ptr<net::EventSink> sink) override;
    void remove_event_sink(const net::EventSink* sink) override;

    // --- net::DevApi ---
    net::ApiResult<uint64_t> snapshot() override;
    net::ApiResult<bool> revert(uint64_t snapshot_id) override;
    net::ApiResult<uint64_t> mine(uint64_t count, std::optional<uint64_t> timestamp,
                                  uint64_t interval_s) override;
    net::ApiResult<uint64_t> increase_time(uint64_t seconds) override;
    net::ApiResult<void> set_next_block_timestamp(uint64_t timestamp) override;
    net::ApiResult<void> set_balance(const Address& address, const U256& balance) override;
    net::ApiResult<void> set_code(const Address& address, Bytes code) override;
    net::ApiResult<void> set_storage(const Address& address, const U256& slot,
                                     const U256& value) override;
    net::ApiResult<void> set_nonce(const Address& address, uint64_t nonce) override;
    net::ApiResult<void> impersonate(const Address& address) override;
    net::ApiResult<void> stop_impersonating(const Address& address) override;
    net::ApiResult<void> auto_impersonate(bool on) override;
    std::vector<Address> accounts() override;
    void send_transaction(net::CallRequest request, net::SendCallback done) override;

    // --- Observers ---
    void on_mini_block(const sequencer::MiniBlockPtr& mini_block) override;
    void on_sealed(const sequencer::SealedPtr& block) override;
    void on_reverted(uint64_t last_kept, const std::vector<sequencer::SealedPtr>& sealed,
                     const std::vector<sequencer::MiniBlockPtr>& open) override;
    void on_executable(std::span<const sequencer::AdmittedPtr> transactions) override;
    void on_dropped(const sequencer::AdmittedPtr& transaction, std::string_view reason) override;
    bool wants_executed() const noexcept override;
    void on_executed(const sequencer::OpenBlock& block,
                     const std::vector<sequencer::ExecutedPtr>& transactions) override;

private:
    /// A block reference resolved: the sealed block, or the open one.
    struct Resolved {
        sequencer::SealedPtr sealed;
        std::optional<sequencer::OpenBlockView> open;
    };
    net::ApiResult<Resolved> resolve(const net::BlockRef& ref) const;
    /// The sealed block of a reference that is to be proven.
    net::ApiResult<sequencer::SealedPtr> proven_block(const net::BlockRef& ref) const;
    /// The state that belongs to an already resolved reference: in memory, or out of the engine.
    struct State {
        std::optional<SnapshotView> now;
        std::optional<PastView> past;
        ReadView& view() noexcept { return now ? static_cast<ReadView&>(*now) : *past; }
    };
    Result<void> open_state(const net::BlockRef& ref, const Resolved& resolved, State& state);
    Result<PastView::Source> past_state(const sequencer::SealedBlock& block) const;
    /// Gives `read` the state at a reference.
    template <class Read>
    auto with_state(const net::BlockRef& ref, Read read)
        -> net::ApiResult<std::invoke_result_t<Read, ReadView&>>;
    Hash256 hash_of(uint64_t number) const;
    /// Runs `f` with a simulation context at `ref`.
    template <class F>
    auto with_context(const net::BlockRef& ref, const net::BlockOverrides& overrides, F f);
    template <class F>
    auto try_context(const net::BlockRef& ref, const net::BlockOverrides& overrides, F& f,
                     std::optional<uint64_t>& awaited, bool& taken_back);

    NodeApiOptions options_;
    const sequencer::Genesis& genesis_;
    const evm::PrecompileSet& precompiles_;
    sequencer::Sequencer& sequencer_;
    sequencer::ChainView& view_;
    sequencer::SharedCodeReader code_;
    SystemClock clock_;

    bool has_sinks() const;
    template <class Call>
    void tell_sinks(Call call);

    /// Held while sinks are called: one call at a time. Events are made before, as the pipeline's
    /// two threads meet here.
    std::mutex telling_mutex_;
    mutable std::shared_mutex sinks_mutex_;  // guards sinks_; taken after the other one
    std::vector<std::shared_ptr<net::EventSink>> sinks_;

    std::mutex dev_mutex_;  // guards the two below
    std::set<Address> impersonated_;
    bool auto_impersonate_ = false;
    /// Held from the look-up of a nonce until the transaction with it is admitted, so that two
    /// transactions that leave the choice to the node do not get the same one.
    std::timed_mutex nonce_mutex_;
};

}  // namespace millrace::node
