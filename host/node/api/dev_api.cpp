// SPDX-License-Identifier: Apache-2.0
// Owns the development methods: snapshots, time, edits, unlocked and impersonated accounts.
#include <chrono>
#include <future>

#include "host/node/api/convert.hpp"
#include "host/node/api/node_api.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

using net::ApiResult;

template <class T>
ApiResult<T> to_api(Result<T> r) {
    if (!r) { return std::unexpected(to_api_error(r.error())); }
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::move(*r);
    }
}

sequencer::AdmissionDone to_admission_done(net::SendCallback done) {
    return [done = std::move(done)](std::expected<sequencer::Admission, sequencer::Refusal> r) {
        if (r) {
            done(net::SendOutcome{r->hash, r->executable, r->expected_nonce});
        } else {
            done(to_api_error(r.error()));
        }
    };
}

}  // namespace

ApiResult<uint64_t> SequencerNode::snapshot() { return to_api(sequencer_.dev_snapshot()); }
ApiResult<bool> SequencerNode::revert(uint64_t id) { return to_api(sequencer_.dev_revert(id)); }
ApiResult<uint64_t> SequencerNode::mine(uint64_t count, std::optional<uint64_t> timestamp,
                                        uint64_t interval_s) {
    return to_api(sequencer_.dev_mine(count, timestamp, interval_s));
}
ApiResult<uint64_t> SequencerNode::increase_time(uint64_t seconds) {
    return to_api(sequencer_.dev_increase_time(seconds));
}
ApiResult<void> SequencerNode::set_next_block_timestamp(uint64_t timestamp) {
    return to_api(sequencer_.dev_set_next_timestamp(timestamp));
}

ApiResult<void> SequencerNode::set_balance(const Address& address, const U256& balance) {
    if (balance > balance_max) {
        return net::api_fail(net::ApiErrorKind::invalid_params,
                             "balance is above 2^128 wei, more than a chain can count");
    }
    return to_api(sequencer_.dev_edit(
        "setBalance", [address, balance](sequencer::CellTable& cells) -> Result<void> {
            cells.set_balance(address, balance);
            return {};
        }));
}

ApiResult<void> SequencerNode::set_code(const Address& address, Bytes code) {
    return to_api(sequencer_.dev_edit(
        "setCode", [address, code = std::move(code)](sequencer::CellTable& cells) -> Result<void> {
            cells.set_code(address, code);
            return {};
        }));
}

ApiResult<void> SequencerNode::set_storage(const Address& address, const U256& slot,
                                           const U256& value) {
    return to_api(sequencer_.dev_edit(
        "setStorageAt", [address, slot, value](sequencer::CellTable& cells) -> Result<void> {
            const auto& a = cells.account(address);
            if (a.nonce.value() == 0 && a.balance.value().is_zero() &&
                a.code_hash.value() == evm::empty_code_hash) {
                return fail(ErrorCode::invalid_input,
                            "the account does not exist and so has no storage; give it code, a "
                            "nonce or a balance first");
            }
            cells.set_storage(address, slot, value);
            return {};
        }));
}

ApiResult<void> SequencerNode::set_nonce(const Address& address, uint64_t nonce) {
    return to_api(sequencer_.dev_edit(
        "setNonce", [address, nonce](sequencer::CellTable& cells) -> Result<void> {
            if (nonce < cells.account(address).nonce.value()) {
                return fail(ErrorCode::invalid_input,
                            "the nonce of an account can only grow; it is " +
                                std::to_string(cells.account(address).nonce.value()));
            }
            cells.set_nonce(address, nonce);
            return {};
        }));
}

ApiResult<void> SequencerNode::impersonate(const Address& address) {
    const std::lock_guard lock(dev_mutex_);
    if (impersonated_.size() >= 10'000) {
        return net::api_fail(net::ApiErrorKind::limit, "10,000 accounts are impersonated already");
    }
    impersonated_.insert(address);
    return {};
}

ApiResult<void> SequencerNode::stop_impersonating(const Address& address) {
    const std::lock_guard lock(dev_mutex_);
    impersonated_.erase(address);
    return {};
}

ApiResult<void> SequencerNode::auto_impersonate(bool on) {
    const std::lock_guard lock(dev_mutex_);
    auto_impersonate_ = on;
    return {};
}

std::vector<Address> SequencerNode::accounts() {
    std::vector<Address> out;
    for (const DevAccount& a : dev_accounts()) { out.push_back(a.address); }
    return out;
}

void SequencerNode::send_transaction(net::CallRequest request, net::SendCallback done) {
    if (!request.from) {
        return done(net::api_fail(net::ApiErrorKind::invalid_params, "missing \"from\""));
    }
    const Address from = *request.from;
    const DevAccount* key = nullptr;
    for (const DevAccount& a : dev_accounts()) {
        if (a.address == from) { key = &a; }
    }
    bool impersonated = false;
    {
        const std::lock_guard lock(dev_mutex_);
        impersonated = impersonated_.contains(from) || (key == nullptr && auto_impersonate_);
    }
    if (key == nullptr && !impersonated) {
        return done(net::api_fail(net::ApiErrorKind::rejected, "unknown account"));
    }

    if (!request.gas) {
        net::CallRequest plain = request;
        plain.gas_price.reset();
        plain.max_fee_per_gas.reset();
        plain.max_priority_fee_per_gas.reset();
        auto g = estimate_gas(plain, net::BlockRef::pending(), {}, {});
        if (!g) { return done(std::unexpected(g.error())); }
        request.gas = *g;
    }
    evm::Transaction tx;
    tx.chain_id = chain_id();
    tx.gas_limit = *request.gas;
    tx.to = request.to;
    tx.value = request.value.value_or(U256{});
    tx.data = request.data;
    tx.access_list = request.access_list.value_or(evm::AccessList{});
    if (request.gas_price) {
        tx.type = request.access_list ? evm::TxType::access_list : evm::TxType::legacy;
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = *request.gas_price;
    } else {
        tx.type = evm::TxType::dynamic_fee;
        tx.max_priority_fee_per_gas =
            request.max_priority_fee_per_gas.value_or(*max_priority_fee_per_gas());
        // Twice the base fee, as wallets do, so that a few full blocks do not strand it.
        tx.max_fee_per_gas = request.max_fee_per_gas.value_or((*gas_price()) * U256{2} +
                                                              tx.max_priority_fee_per_gas);
        if (tx.max_priority_fee_per_gas > tx.max_fee_per_gas && !request.max_priority_fee_per_gas) {
            tx.max_priority_fee_per_gas = tx.max_fee_per_gas;
        }
        if (request.authorization_list && !request.authorization_list->empty()) {
            tx.type = evm::TxType::set_code;
            tx.authorization_list = *request.authorization_list;
        }
    }
    // By value: the caller waits for the admission, the sequencer for nobody.
    const auto send = [this, from,
                       secret = key != nullptr && !impersonated ? std::optional(key->secret_key)
                                                                : std::nullopt](
                          evm::Transaction ready, net::SendCallback answer) {
        if (!secret) {
            sequencer_.submit_impersonated(std::move(ready), from,
                                           to_admission_done(std::move(answer)));
            return;
        }
        const auto signature = kernels::sign(evm::signing_hash(ready), *secret);
        ready.r = signature->r;
        ready.s = signature->s;
        ready.y_parity = signature->y_parity;
        send_raw_transaction(evm::encode_transaction(ready), std::move(answer));
    };
    if (request.nonce) {
        tx.nonce = *request.nonce;
        return send(std::move(tx), std::move(done));
    }
    // This is a worker's thread and may wait, but not for ever: with a full disk nothing is
    // admitted.
    const std::unique_lock nonce_lock(nonce_mutex_, std::chrono::seconds(5));
    if (!nonce_lock) {
        return done(net::api_fail(net::ApiErrorKind::limit, "the node is overloaded; try again"));
    }
    const auto n = nonce(from, net::BlockRef::pending());
    if (!n) { return done(std::unexpected(n.error())); }
    tx.nonce = *n;
    auto answered = std::make_shared<std::promise<void>>();
    auto admitted = answered->get_future();
    send(std::move(tx), [answered, done = std::move(done)](net::ApiResult<net::SendOutcome> r) {
        // First the nonce, then the client, who may take his time.
        answered->set_value();
        done(std::move(r));
    });
    admitted.wait_for(std::chrono::seconds(2));
}

}  // namespace millrace::node
