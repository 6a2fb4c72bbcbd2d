// SPDX-License-Identifier: Apache-2.0
// Owns the fields of JSON-RPC objects as the sequencer knows them.
#include "host/node/api/convert.hpp"

namespace millrace::node {
namespace {

/// Bytes of an RLP string or list with this payload.
uint64_t rlp_size(uint64_t payload) {
    if (payload <= 55) { return payload + 1; }
    uint64_t length_bytes = 0;
    for (uint64_t n = payload; n != 0; n >>= 8) { ++length_bytes; }
    return payload + 1 + length_bytes;
}

template <class Transactions>
uint64_t block_size(const evm::BlockHeader& header, const Transactions& transactions) {
    uint64_t list = 0;
    for (const sequencer::ExecutedPtr& t : transactions) {
        const uint64_t raw = t->admitted->raw.size();
        list += t->admitted->transaction.type == evm::TxType::legacy ? raw : rlp_size(raw);
    }
    // Header, transactions, no ommers, no withdrawals.
    return rlp_size(evm::encode_header(header).size() + rlp_size(list) + 1 + 1);
}

net::Inclusion inclusion_of(const sequencer::LocatedTransaction& t) {
    return {t.block_hash, t.block_number, t.block_timestamp_s, t.transaction->index};
}

}  // namespace

sequencer::LocatedTransaction locate(const sequencer::SealedBlock& b, size_t i) {
    return {b.transactions[i], b.header.number, b.hash, b.header.timestamp,
            b.header.base_fee_per_gas.value_or(U256{})};
}

sequencer::LocatedTransaction locate(const sequencer::OpenBlock& open,
                                     const sequencer::ExecutedPtr& t) {
    return {t, open.number, Hash256{}, open.timestamp_s, open.base_fee_per_gas};
}

net::TransactionData to_net(const sequencer::LocatedTransaction& t) {
    net::TransactionData d = pending_to_net(t.transaction->admitted);
    d.inclusion = inclusion_of(t);
    d.effective_gas_price = t.transaction->effective_gas_price;
    return d;
}

net::TransactionData pending_to_net(const sequencer::AdmittedPtr& t) {
    net::TransactionData d;
    d.transaction = std::shared_ptr<const evm::Transaction>(t, &t->transaction);
    d.hash = t->hash;
    d.sender = t->sender;
    return d;
}

net::ReceiptData receipt_to_net(const sequencer::LocatedTransaction& t) {
    net::ReceiptData r;
    r.receipt = {t.transaction, &t.transaction->receipt};  // lives as long as the transaction
    r.transaction_hash = t.transaction->admitted->hash;
    r.sender = t.transaction->admitted->sender;
    r.to = t.transaction->admitted->transaction.to;
    r.contract_address = t.transaction->contract_address;
    r.gas_used = t.transaction->gas_used;
    r.effective_gas_price = t.transaction->effective_gas_price;
    r.inclusion = inclusion_of(t);
    r.first_log_index = t.transaction->first_log_index;
    return r;
}

std::vector<net::LogData> logs_to_net(const sequencer::LocatedTransaction& t, bool removed) {
    std::vector<net::LogData> out;
    uint64_t index = t.transaction->first_log_index;
    for (const evm::Log& log : t.transaction->receipt.logs) {
        out.push_back({log, inclusion_of(t), t.transaction->admitted->hash, index++, removed});
    }
    return out;
}

net::BlockData to_net(const sequencer::SealedBlock& block) {
    net::BlockData d;
    d.header = block.header;
    d.hash = block.hash;
    d.size_bytes = block_size(block.header, block.transactions);
    for (size_t i = 0; i < block.transactions.size(); ++i) {
        d.transactions.push_back(to_net(locate(block, i)));
    }
    d.withdrawals.emplace();
    d.mini_block_count = block.mini_block_ends.size();
    return d;
}

net::BlockData to_net(const sequencer::OpenBlockView& open) {
    net::BlockData d;
    d.sealed = false;
    evm::BlockHeader& h = d.header;
    h.parent_hash = open.open.parent_hash;
    h.ommers_hash = evm::empty_ommers_hash;
    h.coinbase = open.open.coinbase;
    h.number = open.open.number;
    h.gas_limit = open.open.gas_limit;
    h.timestamp = open.open.timestamp_s;
    h.prev_randao = open.open.prev_randao;
    h.base_fee_per_gas = open.open.base_fee_per_gas;
    h.withdrawals_root = evm::empty_trie_root;
    h.blob_gas_used = 0;
    h.excess_blob_gas = 0;
    h.parent_beacon_block_root = open.open.parent_beacon_block_root;
    h.requests_hash = evm::empty_requests_hash;
    std::vector<sequencer::ExecutedPtr> all;
    for (const sequencer::MiniBlockPtr& m : open.mini_blocks) {
        h.gas_used += m->gas_used;
        for (const sequencer::ExecutedPtr& t : m->transactions) {
            evm::bloom_merge(h.logs_bloom, t->receipt.bloom);
            d.transactions.push_back(to_net(locate(open.open, t)));
            all.push_back(t);
        }
    }
    d.size_bytes = block_size(h, all);
    d.withdrawals.emplace();
    d.mini_block_count = open.mini_blocks.size();
    return d;
}

std::shared_ptr<const net::MiniBlockEvent> to_event(const sequencer::MiniBlock& m) {
    auto e = std::make_shared<net::MiniBlockEvent>();
    e->block_number = m.block_number;
    e->block_timestamp = m.block_timestamp_s;
    e->index = m.index;
    e->mini_block_number = m.number;
    e->timestamp_us = static_cast<uint64_t>(m.time_us);
    e->gas_used = m.gas_used;
    for (const sequencer::ExecutedPtr& t : m.transactions) {
        // The base fee is only needed for prices, which the transaction carries.
        const sequencer::LocatedTransaction l{t, m.block_number, Hash256{}, m.block_timestamp_s,
                                              U256{}};
        e->transactions.push_back(to_net(l));
        e->receipts.push_back(receipt_to_net(l));
    }
    // Accounts and slots are both sorted by address; a slot without its account's own change keeps
    // nonce and balance as they are, which the delta does not tell, so such accounts are marked by
    // the caller's reading of the state.
    size_t slot = 0;
    auto take_slots = [&](net::StateChange& c) {
        while (slot < m.post_values.slots.size() &&
               m.post_values.slots[slot].address == c.address) {
            c.storage.emplace_back(m.post_values.slots[slot].key, m.post_values.slots[slot].value);
            ++slot;
        }
    };
    for (const storage::AccountDelta& a : m.post_values.accounts) {
        while (slot < m.post_values.slots.size() && m.post_values.slots[slot].address < a.address) {
            net::StateChange& c = e->state_changes.emplace_back();
            c.address = m.post_values.slots[slot].address;
            take_slots(c);
        }
        net::StateChange& c = e->state_changes.emplace_back();
        c.address = a.address;
        c.nonce = a.nonce;
        c.balance = a.balance;
        take_slots(c);
    }
    while (slot < m.post_values.slots.size()) {
        net::StateChange& c = e->state_changes.emplace_back();
        c.address = m.post_values.slots[slot].address;
        take_slots(c);
    }
    return e;
}

std::shared_ptr<const net::HeadEvent> to_event(const sequencer::SealedBlock& b) {
    auto e = std::make_shared<net::HeadEvent>();
    e->header = b.header;
    e->hash = b.hash;
    e->mini_block_count = b.mini_block_ends.size();
    for (size_t i = 0; i < b.transactions.size(); ++i) {
        auto logs = logs_to_net(locate(b, i), false);
        e->logs.insert(e->logs.end(), std::make_move_iterator(logs.begin()),
                       std::make_move_iterator(logs.end()));
    }
    return e;
}

std::unexpected<net::ApiError> to_api_error(const sequencer::Refusal& r) {
    using Kind = sequencer::Refusal::Kind;
    using net::TxRejection;
    auto limit = [&](uint32_t retry_ms) {
        net::ApiError e{net::ApiErrorKind::limit, sequencer::to_string(r), {}, retry_ms, {}};
        return std::unexpected<net::ApiError>(std::move(e));
    };
    switch (r.kind) {
        case Kind::malformed:
            return net::api_fail(net::ApiErrorKind::invalid_params, sequencer::to_string(r));
        case Kind::overloaded: return limit(r.retry_after_ms);
        case Kind::disk_full:
        case Kind::memory_full:
        case Kind::stopping:
            return net::api_fail(net::ApiErrorKind::not_ready, sequencer::to_string(r));
        case Kind::fee_below_floor:
            return net::reject(TxRejection::fee_cap_below_base_fee, r.detail);
        case Kind::too_large: return net::reject(TxRejection::oversized, r.detail);
        case Kind::unprotected: return net::reject(TxRejection::unprotected, r.detail);
        case Kind::deposit:
            return net::reject(TxRejection::type_not_supported, sequencer::to_string(r));
        case Kind::pool:
            switch (r.pool) {
                case sequencer::PoolRefusal::already_known:
                    return net::reject(TxRejection::already_known, r.detail);
                case sequencer::PoolRefusal::nonce_too_low:
                    return net::reject(TxRejection::nonce_too_low, r.detail);
                case sequencer::PoolRefusal::nonce_too_far:
                    return net::reject(TxRejection::nonce_too_high, r.detail);
                case sequencer::PoolRefusal::replacement_underpriced:
                    return net::reject(TxRejection::replacement_underpriced, r.detail);
                case sequencer::PoolRefusal::under_way:
                    return net::reject(TxRejection::replacement_underpriced,
                                       "the one to replace is being executed");
                case sequencer::PoolRefusal::full: {
                    auto full = net::reject(TxRejection::pool_full, r.detail);
                    full.error().retry_after_ms = r.retry_after_ms;
                    return full;
                }
            }
            break;
        case Kind::rule:
            switch (r.rule) {
                case evm::TxError::type_not_supported:
                    return net::reject(TxRejection::type_not_supported, r.detail);
                case evm::TxError::chain_id_mismatch:
                    return net::reject(TxRejection::invalid_chain_id, r.detail);
                case evm::TxError::signature_invalid:
                    return net::reject(TxRejection::invalid_sender, r.detail);
                case evm::TxError::nonce_too_low:
                    return net::reject(TxRejection::nonce_too_low, r.detail);
                case evm::TxError::nonce_too_high:
                    return net::reject(TxRejection::nonce_too_high, r.detail);
                case evm::TxError::nonce_max: return net::reject(TxRejection::nonce_max, r.detail);
                case evm::TxError::sender_has_code:
                    return net::reject(TxRejection::sender_not_eoa, r.detail);
                case evm::TxError::insufficient_funds:
                    return net::reject(TxRejection::insufficient_funds, r.detail);
                case evm::TxError::intrinsic_gas_too_low:
                    return net::reject(TxRejection::intrinsic_gas, r.detail);
                case evm::TxError::gas_below_floor:
                    return net::reject(TxRejection::floor_data_gas, r.detail);
                case evm::TxError::gas_limit_exceeds_block:
                    return net::reject(TxRejection::gas_limit_above_block, r.detail);
                case evm::TxError::gas_limit_exceeds_cap:
                    return net::reject(TxRejection::gas_limit_above_cap, r.detail);
                case evm::TxError::fee_cap_below_base_fee:
                    return net::reject(TxRejection::fee_cap_below_base_fee, r.detail);
                case evm::TxError::tip_above_fee_cap:
                    return net::reject(TxRejection::tip_above_fee_cap, r.detail);
                case evm::TxError::initcode_too_large:
                    return net::reject(TxRejection::init_code_too_large, r.detail);
                case evm::TxError::authorization_list_empty:
                    return net::reject(TxRejection::authorization_list_empty, r.detail);
                default: return net::api_fail(net::ApiErrorKind::rejected, sequencer::to_string(r));
            }
    }
    return net::api_fail(net::ApiErrorKind::rejected, sequencer::to_string(r));
}

net::ApiError to_api_error(const Error& error) {
    net::ApiError e;
    e.message = error.message;
    switch (error.code) {
        case ErrorCode::invalid_input: e.kind = net::ApiErrorKind::invalid_params; break;
        case ErrorCode::not_found:
        case ErrorCode::unavailable: e.kind = net::ApiErrorKind::not_found; break;
        case ErrorCode::limit: e.kind = net::ApiErrorKind::limit; break;
        case ErrorCode::conflict:
        case ErrorCode::timeout: e.kind = net::ApiErrorKind::not_ready; break;
        default: e.kind = net::ApiErrorKind::internal; break;
    }
    return e;
}

}  // namespace millrace::node
