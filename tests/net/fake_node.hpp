// SPDX-License-Identifier: Apache-2.0
// Owns a node without a chain behind it: it answers from tables that the test fills.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "kernels/keccak/keccak.hpp"
#include "net/node_api.hpp"

namespace millrace::net::testing {

inline Address address_of(uint8_t n) {
    Address a;
    a[19] = n;
    return a;
}

inline Hash256 hash_of(uint8_t n) {
    Hash256 h;
    h[31] = n;
    return h;
}

/// Remembers what it was asked to do, as "name:argument" lines.
class FakeDev final : public DevApi {
public:
    std::vector<std::string> done;
    std::function<void(CallRequest, SendCallback)> on_send;

    ApiResult<uint64_t> snapshot() override { return note("snapshot"), 7; }
    ApiResult<bool> revert(uint64_t id) override { return note("revert", id), id == 7; }
    ApiResult<uint64_t> mine(uint64_t count, std::optional<uint64_t> timestamp,
                             uint64_t interval_s) override {
        note("mine", count);
        if (timestamp) { note("at", *timestamp); }
        note("every", interval_s);
        return 100 + count;
    }
    ApiResult<uint64_t> increase_time(uint64_t s) override { return note("increase", s), s; }
    ApiResult<void> set_next_block_timestamp(uint64_t t) override {
        return note("next", t), success();
    }
    ApiResult<void> set_balance(const Address&, const U256& b) override {
        return note("balance", b.low64()), success();
    }
    ApiResult<void> set_code(const Address&, Bytes code) override {
        return note("code", code.size()), success();
    }
    ApiResult<void> set_storage(const Address&, const U256& slot, const U256& value) override {
        return note("slot", slot.low64()), note("value", value.low64()), success();
    }
    ApiResult<void> set_nonce(const Address&, uint64_t n) override {
        return note("nonce", n), success();
    }
    ApiResult<void> impersonate(const Address& a) override { return note("as", a[19]), success(); }
    ApiResult<void> stop_impersonating(const Address& a) override {
        return note("not_as", a[19]), success();
    }
    ApiResult<void> auto_impersonate(bool on) override { return note("auto", on), success(); }
    std::vector<Address> accounts() override { return {address_of(1), address_of(2)}; }
    void send_transaction(CallRequest request, SendCallback callback) override {
        if (on_send) {
            on_send(std::move(request), std::move(callback));
        } else {
            callback(SendOutcome{hash_of(0x5e), true, 0});
        }
    }

private:
    static ApiResult<void> success() { return {}; }
    void note(const std::string& what) { done.push_back(what); }
    void note(const std::string& what, uint64_t n) {
        done.push_back(what + ":" + std::to_string(n));
    }
};

class FakeNode final : public NodeApi {
public:
    std::mutex mutex;  ///< guards what the threads of a server change: sinks, watches
    std::map<uint64_t, std::shared_ptr<const BlockData>> blocks;
    std::shared_ptr<const BlockData> open_block;
    std::map<Hash256, TransactionData> transactions;
    std::map<Hash256, ReceiptData> receipts;
    std::vector<LogData> all_logs;
    std::map<Address, U256> balances;
    std::map<std::pair<Address, U256>, U256> slots;
    std::optional<SyncStatus> sync_status;
    std::vector<ReadinessCheck> checks = {{"log", true, "writable"}};
    FakeDev dev_api;
    bool dev_on = false;
    bool watch_answers_at_once = true;

    std::function<ApiResult<CallResult>(const CallRequest&, const BlockRef&, const StateOverrides&,
                                        const BlockOverrides&)>
        on_call;
    std::function<void(Bytes, SendCallback)> on_send;
    std::function<ApiResult<std::vector<LogData>>(const LogQuery&)> on_logs;
    std::vector<std::shared_ptr<EventSink>> sinks;
    std::map<WatchId, std::pair<Hash256, ReceiptCallback>> watches;
    WatchId next_watch = 1;
    std::vector<double> seen_percentiles;
    std::optional<AccountProof> account_proof;
    std::optional<EngineProof> engine_answer;
    bool asked_together = false;

    // --- NodeApi ---
    uint64_t chain_id() const override { return 1337; }
    std::string client_version() const override { return "Millrace/test"; }
    uint64_t block_number() const override { return blocks.empty() ? 0 : blocks.rbegin()->first; }
    std::optional<SyncStatus> syncing() const override { return sync_status; }
    uint64_t peer_count() const override { return 3; }
    std::vector<ReadinessCheck> readiness() const override { return checks; }
    DevApi* dev() override { return dev_on ? &dev_api : nullptr; }

    ApiResult<std::shared_ptr<const BlockData>> block(const BlockRef& ref) override {
        using Kind = BlockRef::Kind;
        if (ref.kind == Kind::hash) {
            for (const auto& [number, block] : blocks) {
                if (block->hash == ref.hash_value) { return block; }
            }
            return nullptr;
        }
        if (ref.kind == Kind::pending && open_block) { return open_block; }
        uint64_t number = block_number();
        if (ref.kind == Kind::earliest) { number = 0; }
        if (ref.kind == Kind::number) { number = ref.number_value; }
        const auto it = blocks.find(number);
        return it == blocks.end() ? nullptr : it->second;
    }
    ApiResult<std::optional<std::vector<ReceiptData>>>
    block_receipts(const BlockRef& ref) override {
        const auto found = block(ref);
        if (!*found) { return std::nullopt; }
        std::vector<ReceiptData> out;
        for (const auto& tx : (*found)->transactions) { out.push_back(receipts.at(tx.hash)); }
        return out;
    }
    ApiResult<std::optional<TransactionData>> transaction(const Hash256& hash) override {
        const auto it = transactions.find(hash);
        return it == transactions.end() ? std::nullopt : std::optional(it->second);
    }
    ApiResult<std::optional<ReceiptData>> receipt(const Hash256& hash) override {
        const auto it = receipts.find(hash);
        return it == receipts.end() ? std::nullopt : std::optional(it->second);
    }
    ApiResult<std::vector<LogData>> logs(const LogQuery& query) override {
        if (on_logs) { return on_logs(query); }
        std::vector<LogData> out;
        for (const auto& log : all_logs) {
            if (query.filter.matches(log.log)) { out.push_back(log); }
        }
        return out;
    }

    ApiResult<U256> balance(const Address& address, const BlockRef& ref) override {
        if (ref.kind == BlockRef::Kind::number && ref.number_value > block_number()) {
            return api_fail(ApiErrorKind::not_found, "header not found");
        }
        const auto it = balances.find(address);
        return it == balances.end() ? U256{} : it->second;
    }
    ApiResult<uint64_t> nonce(const Address&, const BlockRef& ref) override {
        return ref.kind == BlockRef::Kind::pending ? 6 : 5;
    }
    ApiResult<Bytes> code(const Address& address, const BlockRef&) override {
        return address == address_of(1) ? Bytes{0x60, 0x00} : Bytes{};
    }
    ApiResult<U256> storage(const Address& address, const U256& slot, const BlockRef&) override {
        const auto it = slots.find({address, slot});
        return it == slots.end() ? U256{} : it->second;
    }
    ApiResult<AccountProof> proof(const Address& address, const std::vector<U256>& wanted,
                                  const BlockRef& ref) override {
        return account_proof ? *account_proof : NodeApi::proof(address, wanted, ref);
    }
    ApiResult<EngineProof> engine_proof(const Address& address, const std::vector<U256>& wanted,
                                        const BlockRef& ref, bool together) override {
        asked_together = together;
        return engine_answer ? *engine_answer
                             : NodeApi::engine_proof(address, wanted, ref, together);
    }
    ApiResult<CallResult> call(const CallRequest& request, const BlockRef& ref,
                               const StateOverrides& state, const BlockOverrides& block) override {
        if (on_call) { return on_call(request, ref, state, block); }
        return CallResult{request.data, 21000};
    }
    ApiResult<uint64_t> estimate_gas(const CallRequest& request, const BlockRef& ref,
                                     const StateOverrides& state,
                                     const BlockOverrides& block) override {
        const auto result = call(request, ref, state, block);
        if (!result) { return std::unexpected(result.error()); }
        return result->gas_used;
    }

    ApiResult<U256> gas_price() override { return U256(1'000'000'007); }
    ApiResult<U256> max_priority_fee_per_gas() override { return U256(7); }
    ApiResult<U256> blob_base_fee() override { return U256(1); }
    ApiResult<FeeHistory> fee_history(uint64_t count, const BlockRef&,
                                      const std::vector<double>& percentiles) override {
        seen_percentiles = percentiles;
        FeeHistory out;
        out.oldest_block = 3;
        out.base_fee_per_gas.assign(count + 1, U256(1000));
        out.gas_used_ratio.assign(count, 0.25);
        if (!percentiles.empty()) {
            out.reward.assign(count, std::vector<U256>(percentiles.size(), U256(2)));
        }
        return out;
    }

    void send_raw_transaction(Bytes raw, SendCallback done) override {
        if (on_send) {
            on_send(std::move(raw), std::move(done));
        } else {
            done(SendOutcome{kernels::keccak256(raw), true, 0});
        }
    }
    WatchId watch_receipt(const Hash256& hash, ReceiptCallback done) override {
        const auto known = receipts.find(hash);
        if (watch_answers_at_once && known != receipts.end()) {
            done(known->second);
            return 0;
        }
        const std::lock_guard lock(mutex);
        watches.emplace(next_watch, std::pair(hash, std::move(done)));
        return next_watch++;
    }
    void unwatch_receipt(WatchId id) override {
        const std::lock_guard lock(mutex);
        watches.erase(id);
    }
    size_t watch_count() {
        const std::lock_guard lock(mutex);
        return watches.size();
    }
    /// How many there have been, those that ended included.
    size_t watches_begun() {
        const std::lock_guard lock(mutex);
        return next_watch - 1;
    }
    /// Ends all watches of a transaction.
    void finish_watches(const Hash256& hash, const ApiResult<ReceiptData>& result) {
        std::vector<ReceiptCallback> callbacks;
        {
            const std::lock_guard lock(mutex);
            for (auto it = watches.begin(); it != watches.end();) {
                if (it->second.first == hash) {
                    callbacks.push_back(std::move(it->second.second));
                    it = watches.erase(it);
                } else {
                    ++it;
                }
            }
        }
        for (const auto& callback : callbacks) { callback(result); }
    }
    ApiResult<PoolStatus> pool_status() override { return PoolStatus{2, 1}; }
    ApiResult<PoolContent> pool_content(const std::optional<Address>& sender) override {
        PoolContent out;
        for (const auto& [hash, tx] : transactions) {
            if (!tx.inclusion && (!sender || tx.sender == *sender)) { out.pending.push_back(tx); }
        }
        return out;
    }
    void add_event_sink(std::shared_ptr<EventSink> sink) override {
        const std::lock_guard lock(mutex);
        sinks.push_back(std::move(sink));
    }
    void remove_event_sink(const EventSink* sink) override {
        const std::lock_guard lock(mutex);
        std::erase_if(sinks, [sink](const auto& s) { return s.get() == sink; });
    }
    /// Calls every sink as the node would.
    template <class Call>
    void emit(Call call) {
        const std::lock_guard lock(mutex);
        for (const auto& sink : sinks) { call(*sink); }
    }
};

// ---------------------------------------------------------------- Material

inline TransactionData dynamic_fee_transaction(uint8_t n, std::optional<Inclusion> inclusion) {
    evm::Transaction tx;
    tx.type = evm::TxType::dynamic_fee;
    tx.chain_id = 1337;
    tx.nonce = n;
    tx.max_priority_fee_per_gas = 2;
    tx.max_fee_per_gas = 100;
    tx.gas_limit = 50'000;
    tx.to = address_of(0xcc);
    tx.value = U256(1'000'000'000'000'000'000);
    tx.data = {0xab, 0xcd};
    tx.access_list = {{address_of(0xcc), {hash_of(1)}}};
    tx.y_parity = 1;
    tx.r = 0x1111;
    tx.s = 0x2222;
    return {std::make_shared<evm::Transaction>(tx), hash_of(n), address_of(0xaa), inclusion, 12};
}

inline ReceiptData receipt_with_log(uint8_t n, const Inclusion& inclusion) {
    evm::Receipt receipt;
    receipt.type = evm::TxType::dynamic_fee;
    receipt.success = true;
    receipt.cumulative_gas_used = 40'000;
    receipt.logs = {{address_of(0xcc), {hash_of(0x70), hash_of(n)}, {0x01, 0x02}}};
    ReceiptData data;
    data.receipt = std::make_shared<evm::Receipt>(receipt);
    data.transaction_hash = hash_of(n);
    data.sender = address_of(0xaa);
    data.to = address_of(0xcc);
    data.gas_used = 30'000;
    data.effective_gas_price = 12;
    data.inclusion = inclusion;
    data.first_log_index = 4;
    return data;
}

/// Block `number` with one transaction, `number`, that left one log.
inline std::shared_ptr<BlockData> block_with_transaction(FakeNode& node, uint8_t number) {
    auto block = std::make_shared<BlockData>();
    block->header.number = number;
    block->header.timestamp = 1000u + number;
    block->header.gas_limit = 30'000'000;
    block->header.base_fee_per_gas = U256(10);
    block->header.withdrawals_root = hash_of(0x99);
    block->withdrawals = std::vector<evm::Withdrawal>{};
    block->hash = hash_of(static_cast<uint8_t>(0x80 + number));
    block->size_bytes = 600;
    block->mini_block_count = 4;
    const Inclusion inclusion{block->hash, number, block->header.timestamp, 0};
    block->transactions = {dynamic_fee_transaction(number, inclusion)};
    node.transactions[hash_of(number)] = block->transactions[0];
    node.receipts[hash_of(number)] = receipt_with_log(number, inclusion);
    node.blocks[number] = block;
    return block;
}

}  // namespace millrace::net::testing
