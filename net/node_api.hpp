// SPDX-License-Identifier: Apache-2.0
// Owns the interface through which net reads and drives the node; host/node implements it.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evm/tx/block.hpp"
#include "evm/tx/receipt.hpp"
#include "evm/tx/transaction.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::net {

// ---------------------------------------------------------------- Errors

/// What went wrong, in terms of what a client is told. The comment is the JSON-RPC code.
enum class ApiErrorKind : uint8_t {
    invalid_params,      ///< -32602: the arguments cannot be meant
    not_found,           ///< -32000: a block or a state that the node does not have
    rejected,            ///< -32000: a transaction that the pool or the rules refuse
    execution,           ///< -32000: a call that failed other than by REVERT (out of gas, ..)
    reverted,            ///< 3: a call ended in REVERT; `data` is its output
    limit,               ///< -32005: a limit; `retry_after_ms` or `retry_range` says how to go on
    not_ready,           ///< -32000: the node is starting, stopping or out of disk
    resource_not_found,  ///< -32001: a filter, a snapshot or the like is unknown
    unsupported,         ///< -32601: this node does not have the method
    internal,            ///< -32603
};

struct ApiError {
    ApiErrorKind kind = ApiErrorKind::internal;
    std::string message;
    Bytes data;                              ///< REVERT output when kind is `reverted`
    std::optional<uint32_t> retry_after_ms;  ///< for `limit`
    /// For `limit` of a log query: blocks [first, second] that will pass when asked for again.
    std::optional<std::pair<uint64_t, uint64_t>> retry_range;
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

[[nodiscard]] inline std::unexpected<ApiError> api_fail(ApiErrorKind kind, std::string message) {
    return std::unexpected<ApiError>(ApiError{kind, std::move(message), {}, {}, {}});
}

/// Why the pool or the transaction rules refuse a transaction; to_message gives the words that
/// clients match on.
enum class TxRejection : uint8_t {
    already_known,
    nonce_too_low,
    nonce_too_high,
    nonce_max,
    replacement_underpriced,
    underpriced,
    insufficient_funds,
    intrinsic_gas,
    floor_data_gas,
    gas_limit_above_block,
    gas_limit_above_cap,
    fee_cap_below_base_fee,
    tip_above_fee_cap,
    fee_cap_too_high,
    init_code_too_large,
    oversized,
    invalid_sender,
    invalid_chain_id,
    unprotected,
    type_not_supported,
    sender_not_eoa,
    blob_not_supported,
    authorization_list_empty,
    pool_full,
    sender_pool_full,
};
std::string_view to_message(TxRejection reason) noexcept;
/// The error with the well-known message, followed by ": detail" when there is one. A full pool
/// is a `limit`, everything else `rejected`.
[[nodiscard]] std::unexpected<ApiError> reject(TxRejection reason, std::string_view detail = {});

// ---------------------------------------------------------------- Blocks, transactions, receipts

struct BlockRef {
    enum class Kind : uint8_t { latest, pending, safe, finalized, earliest, number, hash };
    Kind kind = Kind::latest;
    uint64_t number_value = 0;  ///< when kind is number
    Hash256 hash_value;         ///< when kind is hash
    bool require_canonical = false;

    static BlockRef latest() { return {}; }
    static BlockRef pending() { return {Kind::pending, 0, {}, false}; }
    static BlockRef earliest() { return {Kind::earliest, 0, {}, false}; }
    static BlockRef number(uint64_t n) { return {Kind::number, n, {}, false}; }
    static BlockRef hash(const Hash256& h, bool canonical = false) {
        return {Kind::hash, 0, h, canonical};
    }
    bool operator==(const BlockRef&) const = default;
};

/// Where a transaction was included.
struct Inclusion {
    Hash256 block_hash;  ///< zero while the block is open
    uint64_t block_number = 0;
    uint64_t block_timestamp = 0;  ///< seconds
    uint64_t index = 0;            ///< in the block
    bool operator==(const Inclusion&) const = default;
};

struct TransactionData {
    std::shared_ptr<const evm::Transaction> transaction;  ///< never null
    Hash256 hash;
    Address sender;
    std::optional<Inclusion> inclusion;  ///< absent: in the pool
    /// What was paid per gas; used only when included.
    U256 effective_gas_price;
};

struct ReceiptData {
    std::shared_ptr<const evm::Receipt> receipt;  ///< never null
    Hash256 transaction_hash;
    Address sender;
    std::optional<Address> to;
    std::optional<Address> contract_address;  ///< of a creation
    uint64_t gas_used = 0;
    U256 effective_gas_price;
    Inclusion inclusion;
    uint64_t first_log_index = 0;           ///< in the block
    std::optional<uint64_t> blob_gas_used;  ///< blob transactions only
    std::optional<U256> blob_gas_price;
};

struct BlockData {
    evm::BlockHeader header;  ///< roots and bloom of the open block may be zero
    Hash256 hash;             ///< zero while open
    bool sealed = true;
    uint64_t size_bytes = 0;  ///< of the RLP of the block
    std::vector<TransactionData> transactions;
    std::vector<Hash256> ommer_hashes;
    std::optional<std::vector<evm::Withdrawal>> withdrawals;
    uint64_t mini_block_count = 0;
};

struct LogData {
    evm::Log log;
    Inclusion inclusion;
    Hash256 transaction_hash;
    uint64_t log_index = 0;  ///< in the block
    bool removed = false;
};

/// Topic filter of eth_getLogs: position i matches when `topics[i]` is empty or holds the topic.
struct LogFilter {
    std::vector<Address> addresses;  ///< empty: any
    std::vector<std::vector<Hash256>> topics;
    /// Whether the log passes.
    bool matches(const evm::Log& log) const noexcept;
    /// Whether a block with this bloom may hold a log that passes.
    bool may_match(const evm::Bloom& bloom) const noexcept;
};

struct LogQuery {
    LogFilter filter;
    /// Either one block by hash or an inclusive range.
    std::optional<Hash256> block_hash;
    BlockRef from = BlockRef::latest();
    BlockRef to = BlockRef::latest();
    uint64_t results_max = 0;  ///< more: `limit` with retry_range; always set by the caller
    uint64_t blocks_max = 0;   ///< longer range: `limit` with retry_range; always set by the caller
};

struct FeeHistory {
    uint64_t oldest_block = 0;
    std::vector<U256> base_fee_per_gas;       ///< one more than blocks
    std::vector<double> gas_used_ratio;       ///< per block
    std::vector<U256> base_fee_per_blob_gas;  ///< one more than blocks
    std::vector<double> blob_gas_used_ratio;
    std::vector<std::vector<U256>> reward;  ///< per block per percentile; empty when none asked for
};

struct AccountProof {
    struct StorageProof {
        U256 key;
        U256 value;
        std::vector<Bytes> nodes;
    };
    Address address;
    U256 balance;
    uint64_t nonce = 0;
    Hash256 code_hash;
    Hash256 storage_hash;
    std::vector<Bytes> nodes;
    std::vector<StorageProof> storage;
};

/// Proofs of an account and of slots of it under a state root of the state engine (`qmdb`); keys,
/// leaves and encodings are those of storage/proof.
struct EngineProof {
    struct Leaf {
        Hash256 key;
        std::optional<Bytes> value;  ///< the leaf; absent where the key is proven to be absent
        Bytes proof;                 ///< encode_state_proof; empty when all are proven together
    };
    struct Slot {
        U256 slot;
        U256 value;
        Leaf leaf;
    };
    Address address;
    uint64_t block_number = 0;
    Hash256 block_hash;
    Hash256 state_root;
    std::string node_hash;  ///< "keccak256", "sha256" or "blake3"
    Leaf account;
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
    std::optional<uint64_t> ordinal;  ///< of an account that is there
    std::optional<uint64_t> incarnation;
    std::vector<Slot> storage;
    /// Of all keys together, ascending and each once, where that was asked for.
    std::vector<Hash256> keys;
    Bytes multiproof;  ///< encode_state_multiproof
};

// ---------------------------------------------------------------- Calls

/// The object of eth_call, eth_estimateGas and eth_sendTransaction; absent fields were not given.
struct CallRequest {
    std::optional<evm::TxType> type;
    std::optional<Address> from;
    std::optional<Address> to;
    std::optional<uint64_t> gas;
    std::optional<U256> gas_price;
    std::optional<U256> max_fee_per_gas;
    std::optional<U256> max_priority_fee_per_gas;
    std::optional<U256> max_fee_per_blob_gas;
    std::optional<U256> value;
    std::optional<uint64_t> nonce;
    std::optional<uint64_t> chain_id;
    Bytes data;
    std::optional<evm::AccessList> access_list;
    std::vector<Hash256> blob_versioned_hashes;
    std::optional<std::vector<evm::Authorization>> authorization_list;
};

struct AccountOverride {
    Address address;
    std::optional<U256> balance;
    std::optional<uint64_t> nonce;
    std::optional<Bytes> code;
    /// True: `storage` is the whole storage of the account (`state`); false: a change
    /// (`stateDiff`).
    bool replaces_storage = false;
    std::vector<std::pair<U256, U256>> storage;
    std::optional<Address> move_precompile_to;
};
using StateOverrides = std::vector<AccountOverride>;

struct BlockOverrides {
    std::optional<uint64_t> number;
    std::optional<U256> difficulty;
    std::optional<uint64_t> timestamp;
    std::optional<uint64_t> gas_limit;
    std::optional<Address> coinbase;
    std::optional<Hash256> prev_randao;
    std::optional<U256> base_fee_per_gas;
    std::optional<U256> blob_base_fee;
};

struct CallResult {
    Bytes output;
    uint64_t gas_used = 0;
};

struct AccessListResult {
    evm::AccessList access_list;
    uint64_t gas_used = 0;
    std::string error;  ///< empty when the call succeeds
};

// ---------------------------------------------------------------- Pool

struct SendOutcome {
    Hash256 hash;
    /// False when an earlier nonce of the sender is missing: it waits in the queue.
    bool executable = true;
    uint64_t expected_nonce = 0;  ///< the missing one, when not executable
};
using SendCallback = std::function<void(ApiResult<SendOutcome>)>;
using ReceiptCallback = std::function<void(ApiResult<ReceiptData>)>;
/// Names one watch_receipt; 0 means that the callback has run already.
using WatchId = uint64_t;

struct PoolStatus {
    uint64_t pending = 0;  ///< executable
    uint64_t queued = 0;
};
struct PoolContent {
    std::vector<TransactionData> pending;
    std::vector<TransactionData> queued;
};

// ---------------------------------------------------------------- Node

struct SyncStatus {
    uint64_t starting_block = 0;
    uint64_t current_block = 0;
    uint64_t highest_block = 0;
};
struct ReadinessCheck {
    std::string name;  ///< e.g. "log", "disk", "head_age"
    bool ok = true;
    std::string detail;  ///< what was seen and what to do
};

// ---------------------------------------------------------------- Events

struct StateChange {
    Address address;
    uint64_t nonce = 0;
    U256 balance;
    std::vector<std::pair<U256, U256>> storage;  ///< slots written and their new values
};

/// A durable mini-block.
struct MiniBlockEvent {
    uint64_t block_number = 0;
    uint64_t block_timestamp = 0;  ///< seconds
    uint64_t index = 0;            ///< in the block
    uint64_t mini_block_number = 0;
    uint64_t timestamp_us = 0;
    uint64_t gas_used = 0;
    std::vector<TransactionData> transactions;
    std::vector<ReceiptData> receipts;
    std::vector<StateChange> state_changes;
};

/// Transactions that were executed and are not durable yet, in the order of their block. Each comes
/// again in a MiniBlockEvent of the same block with the same results, unless the node ends before:
/// then it may never have been.
struct PreviewEvent {
    uint64_t block_number = 0;
    uint64_t block_timestamp = 0;  ///< seconds
    std::vector<TransactionData> transactions;
    std::vector<ReceiptData> receipts;
};

/// A sealed block became the head.
struct HeadEvent {
    evm::BlockHeader header;
    Hash256 hash;
    uint64_t mini_block_count = 0;
    std::vector<LogData> logs;  ///< of the whole block, with its final hash
};

/// Transactions entered the pool as executable.
struct PendingTransactionEvent {
    std::vector<TransactionData> transactions;
};

/// Blocks are undone (evm_revert, new fencing epoch, L1 reorganisation). Sealed logs and those of
/// the open block are in `logs`, newest first.
struct RemovedEvent {
    uint64_t last_kept_block = 0;
    std::vector<Hash256> block_hashes;  ///< undone sealed blocks
    std::vector<LogData> logs;
    /// How many leading entries of `logs` belong to the open block: those were seen by mini-block
    /// subscribers only.
    size_t open_block_logs = 0;
};

/// Takes events. Called by the node's own threads, one call at a time, in chain order: the
/// mini-blocks of block N, then its HeadEvent, then those of N + 1. Implementations only queue.
class EventSink {
public:
    virtual ~EventSink() = default;
    virtual void on_mini_block(std::shared_ptr<const MiniBlockEvent> event) = 0;
    virtual void on_head(std::shared_ptr<const HeadEvent> event) = 0;
    virtual void on_pending_transactions(std::shared_ptr<const PendingTransactionEvent> event) = 0;
    virtual void on_removed(std::shared_ptr<const RemovedEvent> event) = 0;
    virtual void on_preview(std::shared_ptr<const PreviewEvent>) {}
    /// Whether anybody listens, so that nothing is made for nobody. Any thread, often; a change may
    /// be seen a moment later.
    virtual bool wants_previews() const noexcept { return false; }
    virtual bool wants_pending_transactions() const noexcept { return true; }
};

// ---------------------------------------------------------------- Interfaces

/// What only a development node does. Any thread; calls may block until the change is durable.
class DevApi {
public:
    virtual ~DevApi() = default;

    virtual ApiResult<uint64_t> snapshot() = 0;
    /// False when there is no such snapshot. Later snapshots are dropped with it.
    virtual ApiResult<bool> revert(uint64_t snapshot_id) = 0;
    /// Seals `count` blocks, the first with what waits in the pool. `timestamp` is of the first;
    /// `interval_s` lies between the next ones. Gives the number of the last.
    virtual ApiResult<uint64_t> mine(uint64_t count, std::optional<uint64_t> timestamp,
                                     uint64_t interval_s) = 0;
    /// Adds to the offset of block time; gives the whole offset in seconds.
    virtual ApiResult<uint64_t> increase_time(uint64_t seconds) = 0;
    virtual ApiResult<void> set_next_block_timestamp(uint64_t timestamp) = 0;

    virtual ApiResult<void> set_balance(const Address& address, const U256& balance) = 0;
    virtual ApiResult<void> set_code(const Address& address, Bytes code) = 0;
    virtual ApiResult<void> set_storage(const Address& address, const U256& slot,
                                        const U256& value) = 0;
    virtual ApiResult<void> set_nonce(const Address& address, uint64_t nonce) = 0;

    virtual ApiResult<void> impersonate(const Address& address) = 0;
    virtual ApiResult<void> stop_impersonating(const Address& address) = 0;
    virtual ApiResult<void> auto_impersonate(bool on) = 0;

    /// Accounts whose keys the node holds.
    virtual std::vector<Address> accounts() = 0;
    /// Fills in nonce, gas and fees, signs for an account of its own or an impersonated one, sends.
    /// `done` as with NodeApi::send_raw_transaction.
    virtual void send_transaction(CallRequest request, SendCallback done) = 0;
};

/// The node as net sees it. Every method may be called from any thread at any time between
/// construction and RpcServer::stop. Those marked "short" are called from network threads and must
/// neither wait nor touch the disk; the others run on a bounded worker pool and may take a while.
/// Results that hold shared pointers may be caches: they are never changed.
class NodeApi {
public:
    virtual ~NodeApi() = default;

    // --- The node itself (short) ---
    virtual uint64_t chain_id() const = 0;
    /// "Millrace/v0.1.0/linux-x86_64/.."
    virtual std::string client_version() const = 0;
    /// Number of the last sealed block.
    virtual uint64_t block_number() const = 0;
    virtual std::optional<SyncStatus> syncing() const = 0;
    virtual uint64_t peer_count() const = 0;
    /// All checks of readiness; ready when all are ok. Always at least one.
    virtual std::vector<ReadinessCheck> readiness() const = 0;
    /// Null unless this is a development node.
    virtual DevApi* dev() = 0;

    // --- Chain. Null or absent where Ethereum answers null. ---
    /// latest: last sealed block; pending: the open one (the last sealed one when none is open).
    virtual ApiResult<std::shared_ptr<const BlockData>> block(const BlockRef& ref) = 0;
    virtual ApiResult<std::optional<std::vector<ReceiptData>>>
    block_receipts(const BlockRef& ref) = 0;
    virtual ApiResult<std::optional<TransactionData>> transaction(const Hash256& hash) = 0;
    virtual ApiResult<std::optional<ReceiptData>> receipt(const Hash256& transaction_hash) = 0;
    virtual ApiResult<std::vector<LogData>> logs(const LogQuery& query) = 0;

    // --- State. Unknown blocks fail with not_found, unknown accounts are empty. ---
    virtual ApiResult<U256> balance(const Address& address, const BlockRef& ref) = 0;
    /// At `pending` the transactions of the sender that wait in the pool count too.
    virtual ApiResult<uint64_t> nonce(const Address& address, const BlockRef& ref) = 0;
    virtual ApiResult<Bytes> code(const Address& address, const BlockRef& ref) = 0;
    virtual ApiResult<U256> storage(const Address& address, const U256& slot,
                                    const BlockRef& ref) = 0;
    /// Only nodes with the mpt commitment have these.
    virtual ApiResult<AccountProof> proof(const Address&, const std::vector<U256>& /*slots*/,
                                          const BlockRef&) {
        return api_fail(ApiErrorKind::unsupported, "this node keeps no Merkle Patricia proofs");
    }
    /// Only nodes with the qmdb commitment have these: one for each key, or one of all `together`.
    virtual ApiResult<EngineProof> engine_proof(const Address&, const std::vector<U256>& /*slots*/,
                                                const BlockRef&, bool /*together*/) {
        return api_fail(ApiErrorKind::unsupported, "this node keeps no proofs of a state engine");
    }

    // --- Execution without effect. Errors: reverted, execution, invalid_params, not_found, limit.
    // ---
    virtual ApiResult<CallResult> call(const CallRequest& request, const BlockRef& ref,
                                       const StateOverrides& state,
                                       const BlockOverrides& block) = 0;
    virtual ApiResult<uint64_t> estimate_gas(const CallRequest& request, const BlockRef& ref,
                                             const StateOverrides& state,
                                             const BlockOverrides& block) = 0;
    virtual ApiResult<AccessListResult> create_access_list(const CallRequest&, const BlockRef&) {
        return api_fail(ApiErrorKind::unsupported, "access lists are not computed");
    }

    // --- Fees ---
    virtual ApiResult<U256> gas_price() = 0;
    virtual ApiResult<U256> max_priority_fee_per_gas() = 0;
    virtual ApiResult<U256> blob_base_fee() = 0;
    /// `percentiles` ascend within [0, 100]; `block_count` is at least 1.
    virtual ApiResult<FeeHistory> fee_history(uint64_t block_count, const BlockRef& newest,
                                              const std::vector<double>& percentiles) = 0;

    // --- Transactions ---
    /// Hands the wire form to ingress (short). `done` runs exactly once, on any thread, possibly
    /// before this returns: admitted to the pool, or why not. It may call watch_receipt: hold
    /// no lock around it. A full ingress ring is `limit` with
    /// retry_after_ms.
    virtual void send_raw_transaction(Bytes raw, SendCallback done) = 0;
    /// Calls `done` once: with the receipt as soon as it is durable (at once when it is already),
    /// or with `rejected` when the transaction leaves the pool without one. Short. Watches are
    /// bounded by the caller.
    virtual WatchId watch_receipt(const Hash256& transaction_hash, ReceiptCallback done) = 0;
    /// After this returns `done` will not start; it may be running. Unknown ids are ignored. Short.
    virtual void unwatch_receipt(WatchId id) = 0;
    virtual ApiResult<PoolStatus> pool_status() = 0;
    /// The whole pool, or one sender's part of it.
    virtual ApiResult<PoolContent> pool_content(const std::optional<Address>& sender) = 0;

    // --- Events (short) ---
    /// The node and the caller share the sink until it is removed; after removal returns no call
    /// starts.
    virtual void add_event_sink(std::shared_ptr<EventSink> sink) = 0;
    virtual void remove_event_sink(const EventSink* sink) = 0;
};

}  // namespace millrace::net
