// SPDX-License-Identifier: Apache-2.0
// Owns the shared parts of fixture runners.
#include "host/node/conformance/fixture.hpp"

#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {

namespace {

/// Puts `where` in front of the message of a failed result.
template <class T>
Result<T> at(Result<T> r, const std::string& where) {
    if (!r) { r.error().message.insert(0, where + ": "); }
    return r;
}

class TestChain final : public evm::StateView {
public:
    bool account_exists(const Address&) override { return false; }
    uint64_t nonce(const Address&) override { return 0; }
    U256 balance(const Address&) override { return {}; }
    bool balance_at_least(const Address&, const U256& min) override { return min.is_zero(); }
    Hash256 code_hash(const Address&) override { return evm::empty_code_hash; }
    evm::CodePtr code(const Hash256&) override { return std::make_shared<const Bytes>(); }
    U256 storage(const Address&, const U256&) override { return {}; }
    bool has_storage(const Address&) override { return false; }
    Hash256 block_hash(uint64_t number) override {
        return kernels::keccak256(as_bytes(std::to_string(number)));
    }
};

Result<void> load_storage(const boost::json::value& storage, const Address& address,
                          const std::string& where, evm::StateOverlay& state) {
    const auto* object = storage.if_object();
    if (object == nullptr) {
        return fail(ErrorCode::invalid_input, where + ": expected an object");
    }
    for (const auto& [slot, value] : *object) {
        const std::string name(slot.data(), slot.size());
        MILLRACE_TRY(const U256 key, at(u256_from_text(name), where + "." + name));
        MILLRACE_TRY(const U256 word, json_u256(value, where + "." + name));
        state.set_storage(address, key, word);
    }
    return {};
}

/// Writes one account of `state` into the trie: all of it, or what changed.
void put_account(evm::StateTrie& trie, const Address& address, const evm::OverlayAccount& a,
                 uint64_t nonce, const U256& balance, const Hash256& code_hash, bool whole) {
    if (!a.exists) { return trie.remove_account(address); }
    trie.set_account(address, nonce, balance, code_hash);
    if (a.storage_cleared && !whole) { trie.wipe_storage(address); }
    for (const auto& [key, value] : a.storage) {
        if (whole || a.storage_cleared || a.storage_changed.contains(key)) {
            trie.set_storage(address, key, value);
        }
    }
}

}  // namespace

evm::StateView& test_chain() {
    static TestChain chain;
    return chain;
}

Result<const boost::json::value*> member(const boost::json::value& object, std::string_view key,
                                         std::string_view where) {
    const boost::json::value* v = find(object, key);
    if (v == nullptr) {
        const std::string prefix = where.empty() ? "" : std::string(where) + ".";
        return fail(ErrorCode::invalid_input, prefix + std::string(key) + " is missing");
    }
    return v;
}

Result<void> load_accounts(const boost::json::value& accounts, evm::StateOverlay& state,
                           std::string_view where) {
    const auto* object = accounts.if_object();
    if (object == nullptr) {
        return fail(ErrorCode::invalid_input, std::string(where) + ": expected an object");
    }
    for (const auto& [key, v] : *object) {
        const std::string name = std::string(where) + "." + std::string(key.data(), key.size());
        MILLRACE_TRY(const Address address, at(address_from_hex({key.data(), key.size()}), name));
        if (!v.is_object()) {
            return fail(ErrorCode::invalid_input, name + ": expected an object");
        }
        U256 balance;
        uint64_t nonce = 0;
        if (const auto* p = find(v, "balance")) {
            MILLRACE_TRY(balance, json_u256(*p, name + ".balance"));
        }
        if (const auto* p = find(v, "nonce")) {
            MILLRACE_TRY(nonce, json_u64(*p, name + ".nonce"));
        }
        state.set_balance(address, balance);
        state.set_nonce(address, nonce);
        if (const auto* p = find(v, "code")) {
            MILLRACE_TRY(const Bytes code, json_bytes(*p, name + ".code"));
            state.set_code(address, code);
        }
        if (const auto* p = find(v, "storage")) {
            MILLRACE_CHECK(load_storage(*p, address, name + ".storage", state));
        }
    }
    return {};
}

namespace {

/// A header field under one of two names.
struct HeaderField {
    std::string_view name;
    std::string_view rpc_name;
};

class HeaderReader {
public:
    HeaderReader(const boost::json::value& header, std::string_view where)
        : header_(header), where_(where) {}

    const boost::json::value* at(HeaderField f) const {
        const boost::json::value* v = find(header_, f.name);
        if (v == nullptr && !f.rpc_name.empty()) { v = find(header_, f.rpc_name); }
        // eth_getBlock gives null for fields that a fork does not have.
        return v != nullptr && v->is_null() ? nullptr : v;
    }
    std::string path(HeaderField f) const { return where_ + "." + std::string(f.name); }

    Result<void> read(HeaderField f, U256& out) const {
        MILLRACE_TRY(const auto* v, required(f));
        MILLRACE_TRY(out, json_u256(*v, path(f)));
        return {};
    }
    Result<void> read(HeaderField f, uint64_t& out) const {
        MILLRACE_TRY(const auto* v, required(f));
        MILLRACE_TRY(out, json_u64(*v, path(f)));
        return {};
    }
    Result<void> read(HeaderField f, Bytes& out) const {
        MILLRACE_TRY(const auto* v, required(f));
        MILLRACE_TRY(out, json_bytes(*v, path(f)));
        return {};
    }
    template <size_t N>
    Result<void> read(HeaderField f, FixedBytes<N>& out) const {
        Bytes bytes;
        MILLRACE_CHECK(read(f, bytes));
        if (bytes.size() != N) {
            return fail(ErrorCode::invalid_input, path(f) + ": has " +
                                                      std::to_string(bytes.size()) +
                                                      " bytes, expected " + std::to_string(N));
        }
        out = FixedBytes<N>::from(bytes);
        return {};
    }
    template <class T>
    Result<void> read(HeaderField f, std::optional<T>& out) const {
        if (at(f) == nullptr) { return {}; }
        return read(f, out.emplace());
    }

private:
    Result<const boost::json::value*> required(HeaderField f) const {
        const boost::json::value* v = at(f);
        if (v == nullptr) { return fail(ErrorCode::invalid_input, path(f) + " is missing"); }
        return v;
    }

    const boost::json::value& header_;
    std::string where_;
};

}  // namespace

Result<evm::BlockHeader> read_header(const boost::json::value& header, std::string_view where) {
    if (!header.is_object()) {
        return fail(ErrorCode::invalid_input, std::string(where) + ": expected an object");
    }
    const HeaderReader r(header, where);
    evm::BlockHeader h;
    MILLRACE_CHECK(r.read({"parentHash", ""}, h.parent_hash));
    MILLRACE_CHECK(r.read({"uncleHash", "sha3Uncles"}, h.ommers_hash));
    MILLRACE_CHECK(r.read({"coinbase", "miner"}, h.coinbase));
    MILLRACE_CHECK(r.read({"stateRoot", ""}, h.state_root));
    MILLRACE_CHECK(r.read({"transactionsTrie", "transactionsRoot"}, h.transactions_root));
    MILLRACE_CHECK(r.read({"receiptTrie", "receiptsRoot"}, h.receipts_root));
    MILLRACE_CHECK(r.read({"bloom", "logsBloom"}, h.logs_bloom));
    MILLRACE_CHECK(r.read({"difficulty", ""}, h.difficulty));
    MILLRACE_CHECK(r.read({"number", ""}, h.number));
    MILLRACE_CHECK(r.read({"gasLimit", ""}, h.gas_limit));
    MILLRACE_CHECK(r.read({"gasUsed", ""}, h.gas_used));
    MILLRACE_CHECK(r.read({"timestamp", ""}, h.timestamp));
    MILLRACE_CHECK(r.read({"extraData", ""}, h.extra_data));
    MILLRACE_CHECK(r.read({"mixHash", ""}, h.prev_randao));
    MILLRACE_CHECK(r.read({"nonce", ""}, h.nonce));
    MILLRACE_CHECK(r.read({"baseFeePerGas", ""}, h.base_fee_per_gas));
    MILLRACE_CHECK(r.read({"withdrawalsRoot", ""}, h.withdrawals_root));
    MILLRACE_CHECK(r.read({"blobGasUsed", ""}, h.blob_gas_used));
    MILLRACE_CHECK(r.read({"excessBlobGas", ""}, h.excess_blob_gas));
    MILLRACE_CHECK(r.read({"parentBeaconBlockRoot", ""}, h.parent_beacon_block_root));
    MILLRACE_CHECK(r.read({"requestsHash", ""}, h.requests_hash));
    return h;
}

void TrieCommitment::reset(const evm::StateOverlay& state) {
    trie_ = evm::StateTrie();
    touched_ = false;
    for (const auto& [address, a] : state.accounts()) {
        put_account(trie_, address, a, a.nonce.value_or(0), a.balance.value_or(U256{}),
                    a.code_hash.value_or(evm::empty_code_hash), true);
    }
}

Hash256 TrieCommitment::root(evm::StateOverlay& state) {
    touched_ = true;
    for (const auto& [address, a] : state.accounts()) {
        if (!a.changed) { continue; }
        // Entries of other accounts may not move while the table is walked: these exist already.
        put_account(trie_, address, a, state.nonce(address), state.balance(address),
                    state.code_hash(address), false);
    }
    return trie_.root();
}

Hash256 state_root_of(const evm::StateOverlay& state) {
    TrieCommitment commitment;
    commitment.reset(state);
    return commitment.root();
}

Result<std::string> compare_accounts(const boost::json::value& expected,
                                     const evm::StateOverlay& state) {
    evm::StateOverlay wanted;
    MILLRACE_CHECK(load_accounts(expected, wanted, "postState"));
    auto exists = [](const evm::StateOverlay& s, const Address& address) {
        const auto it = s.accounts().find(address);
        return it != s.accounts().end() && it->second.exists;
    };
    for (const auto& [address, a] : state.accounts()) {
        if (a.exists && !exists(wanted, address)) {
            return "account " + to_hex(address) + " exists, the fixture does not have it";
        }
    }
    for (const auto& [address, w] : wanted.accounts()) {
        const std::string who = "account " + to_hex(address);
        if (!exists(state, address)) { return who + " does not exist, the fixture has it"; }
        const evm::OverlayAccount& a = state.accounts().at(address);
        auto differs = [&](const std::string& what, const std::string& got,
                           const std::string& want) {
            return who + ": " + what + " is " + got + ", expected " + want;
        };
        if (a.nonce.value_or(0) != w.nonce.value_or(0)) {
            return differs("nonce", std::to_string(a.nonce.value_or(0)),
                           std::to_string(w.nonce.value_or(0)));
        }
        if (a.balance.value_or(U256{}) != w.balance.value_or(U256{})) {
            return differs("balance", to_hex_quantity(a.balance.value_or(U256{})),
                           to_hex_quantity(w.balance.value_or(U256{})));
        }
        const Hash256 code = a.code_hash.value_or(evm::empty_code_hash);
        const Hash256 wanted_code = w.code_hash.value_or(evm::empty_code_hash);
        if (code != wanted_code) { return differs("code hash", to_hex(code), to_hex(wanted_code)); }
        auto slot_of = [](const evm::OverlayAccount& from, const U256& key) {
            const auto it = from.storage.find(key);
            return it == from.storage.end() ? U256{} : it->second;
        };
        auto compare_slots = [&](const evm::OverlayAccount& keys_of) -> std::string {
            for (const auto& [key, value] : keys_of.storage) {
                const U256 got = slot_of(a, key);
                const U256 want = slot_of(w, key);
                if (got != want) {
                    return differs("slot " + to_hex_quantity(key), to_hex_quantity(got),
                                   to_hex_quantity(want));
                }
            }
            return {};
        };
        if (std::string d = compare_slots(w); !d.empty()) { return d; }
        if (std::string d = compare_slots(a); !d.empty()) { return d; }
    }
    return std::string();
}

Hash256 logs_hash(const std::vector<evm::Log>& logs) {
    Bytes all;
    for (const evm::Log& log : logs) {
        Bytes topics;
        for (const Hash256& t : log.topics) { rlp::append_fixed(topics, t); }
        Bytes item;
        rlp::append_fixed(item, log.address);
        rlp::append_list(item, topics);
        rlp::append_bytes(item, log.data);
        rlp::append_list(all, item);
    }
    return kernels::keccak256(rlp::list(all));
}

std::optional<Address> recover_sender(const evm::Transaction& tx, bool low_s) {
    if (tx.type == evm::TxType::deposit) { return tx.from; }
    if (low_s && !evm::signature_values_valid(tx)) { return std::nullopt; }
    return kernels::recover_address({evm::signing_hash(tx), tx.r, tx.s, tx.y_parity});
}

std::vector<std::optional<Address>> recover_authorities(const evm::Transaction& tx) {
    std::vector<std::optional<Address>> out;
    for (const evm::Authorization& a : tx.authorization_list) {
        if (a.s > kernels::secp256k1_half_order || a.y_parity > 1) {
            out.emplace_back(std::nullopt);
        } else {
            out.push_back(kernels::recover_address(
                {evm::authorization_signing_hash(a), a.r, a.s, a.y_parity}));
        }
    }
    return out;
}

std::vector<evm::RecoveredSigners> recover_signers(const evm::Block& block, bool low_s) {
    std::vector<evm::RecoveredSigners> out;
    out.reserve(block.transactions.size());
    for (const evm::Transaction& tx : block.transactions) {
        out.push_back({recover_sender(tx, low_s), recover_authorities(tx)});
    }
    return out;
}

}  // namespace millrace::node
