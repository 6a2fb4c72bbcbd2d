// SPDX-License-Identifier: Apache-2.0
// Owns the small chain that the sequencer's tests run: funded keys, contracts, signed transactions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/base/hex.hpp"
#include "host/sequencer/admission.hpp"
#include "host/sequencer/genesis.hpp"
#include "host/sequencer/ledger/commitment_kind.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::sequencer::test {

inline constexpr uint64_t chain_id = 7331;
inline constexpr uint64_t gwei = 1'000'000'000;
inline const U256 ether = U256{gwei} * U256{gwei};

inline const Address sequencer_vault =
    address_literal("0x00000000000000000000000000000000000000f1");
inline const Address base_fee_vault = address_literal("0x00000000000000000000000000000000000000f2");
inline const Address history_contract =
    address_literal("0x0000f90827f1c53a10cb7a02335b175320002935");

/// Adds one to slot 0, logs the new value with the caller as topic, and returns it.
inline const Address counter_contract =
    address_literal("0x00000000000000000000000000000000000000c1");
/// Reverts with 32 bytes of 0xff at their end.
inline const Address reverting_contract =
    address_literal("0x00000000000000000000000000000000000000c2");
/// Stores BLOCKHASH(calldata word) in slot 0.
inline const Address block_hash_contract =
    address_literal("0x00000000000000000000000000000000000000c3");

/// Stores BLOCKHASH(NUMBER - 1) in the slot that calldata names.
inline const Address parent_hash_contract =
    address_literal("0x00000000000000000000000000000000000000c4");
/// Stores what the history contract (EIP-2935) says of NUMBER - 1 in the slot that calldata names.
inline const Address history_reader = address_literal("0x00000000000000000000000000000000000000c5");

/// A key that belongs to account `i`.
inline Hash256 secret_key(uint64_t i) {
    return kernels::keccak256(as_bytes("millrace test key " + std::to_string(i)));
}
inline Address account(uint64_t i) { return *kernels::address_of_secret_key(secret_key(i)); }
inline Address stranger(uint64_t i) {
    return Address::from(
        kernels::keccak256(as_bytes("stranger " + std::to_string(i))).view().first(20));
}

inline void add_account(storage::StateDelta& state, const Address& address, const U256& balance,
                        std::string_view code_hex = {}, uint64_t nonce = 0) {
    storage::AccountDelta& a = state.accounts.emplace_back();
    a.address = address;
    a.nonce = nonce;
    a.balance = balance;
    a.code_hash = evm::empty_code_hash;
    if (!code_hex.empty()) {
        auto code = std::make_shared<const Bytes>(from_hex(code_hex).value());
        a.code_hash = kernels::keccak256(*code);
        state.codes.push_back({a.code_hash, std::move(code)});
    }
}

struct GenesisOptions {
    uint64_t accounts = 10;
    bool history_contract = true;
    uint64_t block_gas_limit = 1'000'000'000;
    uint64_t chain = chain_id;
    std::string commitment = std::string(default_commitment);
};

/// A `millrace` chain with funded accounts and the contracts above.
inline Genesis make_genesis(const GenesisOptions& options = {}) {
    Genesis g;
    g.spec.rules = evm::millrace_rules(options.chain);
    g.spec.sequencer_fee_vault = sequencer_vault;
    g.spec.base_fee_vault = base_fee_vault;
    g.block_gas_limit = options.block_gas_limit;
    g.coinbase = address_literal("0x00000000000000000000000000000000000000cb");
    for (uint64_t i = 0; i < options.accounts; ++i) {
        add_account(g.state, account(i), U256{1000} * ether);
    }
    // SLOAD 0, +1, SSTORE 0; MSTORE; LOG1 with CALLER; RETURN 32 bytes.
    add_account(g.state, counter_contract, {}, "5f54600101805f555f523360205fa160205ff3", 1);
    add_account(g.state, reverting_contract, {}, "60ff5f5260205ffd", 1);
    add_account(g.state, block_hash_contract, {}, "5f35405f5500", 1);
    add_account(g.state, parent_hash_contract, {}, "60014303405f355500", 1);
    add_account(g.state, history_reader, {},
                "600143035f5260205f60205f73" + to_hex(history_contract).substr(2) +
                    "5afa505f515f355500",
                1);
    if (options.history_contract) {
        // EIP-2935's contract.
        add_account(
            g.state, history_contract, {},
            "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111"
            "604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff600143030655"
            "00",
            1);
    }
    g.state.sort();
    g.header.state_root =
        genesis_state_root(parse_commitment(options.commitment).value(), g.state).value();
    g.header.gas_limit = options.block_gas_limit;
    g.header.ommers_hash = evm::empty_ommers_hash;
    g.header.transactions_root = evm::empty_trie_root;
    g.header.receipts_root = evm::empty_trie_root;
    g.header.withdrawals_root = evm::empty_trie_root;
    g.header.base_fee_per_gas = g.spec.rules.base_fee.initial;
    g.header.blob_gas_used = 0;
    g.header.excess_blob_gas = 0;
    g.header.parent_beacon_block_root = Hash256{};
    g.header.requests_hash = evm::empty_requests_hash;
    g.hash = evm::header_hash(g.header);
    return g;
}

/// An EIP-1559 transaction that the tests fill in further.
inline evm::Transaction call_transaction(uint64_t nonce, std::optional<Address> to, U256 value = {},
                                         Bytes data = {}, uint64_t gas = 100'000) {
    evm::Transaction tx;
    tx.type = evm::TxType::dynamic_fee;
    tx.chain_id = chain_id;
    tx.nonce = nonce;
    tx.max_priority_fee_per_gas = U256{gwei};
    tx.max_fee_per_gas = U256{2 * gwei};
    tx.gas_limit = gas;
    tx.to = to;
    tx.value = value;
    tx.data = std::move(data);
    return tx;
}

inline evm::Transaction transfer_transaction(uint64_t nonce, const Address& to, U256 value) {
    return call_transaction(nonce, to, value, {}, 21'000);
}

inline evm::Transaction with_fees(evm::Transaction tx, uint64_t tip, uint64_t fee) {
    tx.max_priority_fee_per_gas = U256{tip};
    tx.max_fee_per_gas = U256{fee};
    return tx;
}

inline evm::Transaction signed_by(uint64_t key, evm::Transaction tx) {
    const auto signature = *kernels::sign(evm::signing_hash(tx), secret_key(key));
    tx.r = signature.r;
    tx.s = signature.s;
    tx.y_parity = signature.y_parity;
    return tx;
}

/// Signed by `key`: its account runs the code of `delegate` from then on (EIP-7702).
inline evm::Authorization authorization_by(uint64_t key, const Address& delegate, uint64_t nonce) {
    evm::Authorization a;
    a.chain_id = U256{chain_id};
    a.address = delegate;
    a.nonce = nonce;
    const auto signature = *kernels::sign(evm::authorization_signing_hash(a), secret_key(key));
    a.r = signature.r;
    a.s = signature.s;
    a.y_parity = signature.y_parity;
    return a;
}

inline evm::Transaction set_code_transaction(uint64_t nonce, const Address& to,
                                             std::vector<evm::Authorization> list) {
    evm::Transaction tx = call_transaction(nonce, to, {}, {}, 400'000);
    tx.type = evm::TxType::set_code;
    tx.authorization_list = std::move(list);
    return tx;
}

inline Bytes raw_signed(uint64_t key, evm::Transaction tx) {
    return evm::encode_transaction(signed_by(key, std::move(tx)));
}

/// As ingress makes it, signature recovered.
inline AdmittedPtr admitted(uint64_t key, evm::Transaction tx) {
    return admit_logged(raw_signed(key, std::move(tx))).value();
}

/// As ingress would make it of a transaction of `sender`, without a signature: for the pool, which
/// never looks at one.
inline AdmittedPtr unsigned_of(const Address& sender, evm::Transaction tx) {
    auto a = std::make_shared<AdmittedTransaction>();
    a->transaction = std::move(tx);
    a->raw = evm::encode_transaction(a->transaction);
    Bytes seed = a->raw;
    seed.insert(seed.end(), sender.begin(), sender.end());
    a->hash = kernels::keccak256(seed);
    a->sender = sender;
    return a;
}

}  // namespace millrace::sequencer::test
