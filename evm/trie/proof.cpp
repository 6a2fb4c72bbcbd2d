// SPDX-License-Identifier: Apache-2.0
// Owns the verification of Merkle proofs.
#include "evm/trie/proof.hpp"

#include <array>
#include <string>
#include <string_view>

#include "evm/trie/detail/node_rlp.hpp"
#include "evm/tx/block.hpp"
#include "evm/tx/field_reader.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

constexpr size_t key_nibbles = 64;

std::unexpected<Error> bad(std::string_view what) {
    return fail(ErrorCode::invalid_input, "proof: " + std::string(what));
}

/// Where a walk from the root stands.
class Walk {
public:
    Walk(const Hash256& key, std::span<const Bytes> nodes) noexcept : key_(key), nodes_(nodes) {}

    Result<std::optional<Bytes>> run(const Hash256& root) {
        MILLRACE_CHECK(open_listed(root));
        while (!done_) {
            MILLRACE_TRY(const rlp::Reader list,
                         detail::in_context(rlp::read_list(node_), "proof"));
            MILLRACE_TRY(const size_t count, detail::in_context(list.count(), "proof"));
            if (count == 17) {
                MILLRACE_CHECK(enter_branch(list));
            } else if (count == 2) {
                MILLRACE_CHECK(enter_path(list));
            } else {
                return bad("a node has " + std::to_string(count) + " items instead of 2 or 17");
            }
        }
        if (next_ != nodes_.size()) {
            return bad(std::to_string(nodes_.size() - next_) + " nodes are not on the path");
        }
        return std::move(value_);
    }

private:
    Result<void> open_listed(const Hash256& hash) {
        if (next_ == nodes_.size()) { return bad("node " + std::to_string(next_) + " is missing"); }
        node_ = nodes_[next_];
        if (kernels::keccak256(node_) != hash) {
            return bad("node " + std::to_string(next_) + " does not have the hash that names it");
        }
        if (next_ != 0 && node_.size() <= detail::embedded_bytes_max) {
            return bad("node " + std::to_string(next_) + " belongs inside its parent");
        }
        ++next_;
        return {};
    }

    /// Goes on to the node that an item of the present one refers to.
    Result<void> open(rlp::Reader item) {
        if (item.next_is_list()) {
            node_ = item.rest();
            if (node_.size() > detail::embedded_bytes_max) {
                return bad("an embedded node has " + std::to_string(node_.size()) + " bytes");
            }
            return {};
        }
        MILLRACE_TRY(const ByteView hash, item.bytes());
        if (hash.size() != Hash256::size_bytes) {
            return bad("a reference has " + std::to_string(hash.size()) + " bytes");
        }
        return open_listed(Hash256::from(hash));
    }

    Result<void> enter_branch(rlp::Reader list) {
        if (depth_ == key_nibbles) { return bad("a branch lies below the end of the key"); }
        const uint8_t nibble = detail::nibble_of(key_.data(), depth_);
        ByteView child;
        for (unsigned i = 0; i < 16; ++i) {
            MILLRACE_TRY(const ByteView item, list.raw_item());
            if (i == nibble) { child = item; }
        }
        MILLRACE_TRY(const ByteView value, detail::in_context(list.bytes(), "proof: branch value"));
        if (!value.empty()) { return bad("a branch has a value, but all keys are equally long"); }
        ++depth_;
        if (child.size() == 1 && child[0] == 0x80) {
            done_ = true;
            return {};
        }
        return open(rlp::Reader(child));
    }

    Result<void> enter_path(rlp::Reader list) {
        MILLRACE_TRY(const ByteView path, detail::in_context(list.bytes(), "proof: path"));
        if (path.empty() || path[0] >= 0x40 || ((path[0] & 0x10) == 0 && (path[0] & 0x0f) != 0)) {
            return bad("a path is not in hex-prefix form");
        }
        const bool is_leaf = (path[0] & 0x20) != 0;
        const size_t skipped = (path[0] & 0x10) != 0 ? 1 : 2;
        const size_t nibbles = path.size() * 2 - skipped;
        const size_t end = depth_ + nibbles;
        if (is_leaf ? end != key_nibbles : (nibbles == 0 || end >= key_nibbles)) {
            return bad("a path of " + std::to_string(nibbles) + " nibbles at depth " +
                       std::to_string(depth_) + " does not fit a key of 64");
        }
        bool matches = true;
        for (size_t i = 0; i < nibbles; ++i) {
            matches &= detail::nibble_of(path.data(), skipped + i) ==
                       detail::nibble_of(key_.data(), depth_ + i);
        }
        depth_ = end;
        if (!matches) {
            done_ = true;
            return {};
        }
        if (!is_leaf) { return open(list); }
        MILLRACE_TRY(const ByteView value, detail::in_context(list.bytes(), "proof: leaf value"));
        if (value.empty()) { return bad("a leaf is empty"); }
        value_ = Bytes(value.begin(), value.end());
        done_ = true;
        return {};
    }

    const Hash256& key_;
    std::span<const Bytes> nodes_;
    size_t next_ = 0;  ///< first listed node not used yet
    ByteView node_;
    size_t depth_ = 0;
    bool done_ = false;
    std::optional<Bytes> value_;
};

}  // namespace

Bytes encode_account(const AccountState& account) {
    Bytes payload;
    payload.reserve(112);
    rlp::append_u64(payload, account.nonce);
    rlp::append_u256(payload, account.balance);
    rlp::append_fixed(payload, account.storage_root);
    rlp::append_fixed(payload, account.code_hash);
    return rlp::list(payload);
}

Result<AccountState> decode_account(ByteView raw) {
    MILLRACE_TRY(const rlp::Reader list, detail::in_context(rlp::read_list(raw), "account"));
    detail::FieldReader fields(list, "account");
    AccountState account;
    MILLRACE_TRY(account.nonce, fields.u64("nonce"));
    MILLRACE_TRY(account.balance, fields.u256("balance"));
    MILLRACE_TRY(account.storage_root, fields.hash("storage_root"));
    MILLRACE_TRY(account.code_hash, fields.hash("code_hash"));
    MILLRACE_CHECK(fields.end());
    return account;
}

Result<std::optional<Bytes>> verify_trie_proof(const Hash256& root, const Hash256& hashed_key,
                                               std::span<const Bytes> nodes) {
    if (nodes.empty()) {
        if (root != empty_trie_root) {
            return bad("there are no nodes, but the trie is not empty");
        }
        return std::nullopt;
    }
    return Walk(hashed_key, nodes).run(root);
}

Result<std::optional<AccountState>> verify_account_proof(const Hash256& state_root,
                                                         const Address& address,
                                                         std::span<const Bytes> nodes) {
    MILLRACE_TRY(const std::optional<Bytes> leaf,
                 verify_trie_proof(state_root, kernels::keccak256(address.view()), nodes));
    if (!leaf) { return std::nullopt; }
    MILLRACE_TRY(const AccountState account, detail::in_context(decode_account(*leaf), "proof"));
    return account;
}

Result<U256> verify_storage_proof(const Hash256& storage_root, const U256& key,
                                  std::span<const Bytes> nodes) {
    const Hash256 slot = to_hash(key);
    MILLRACE_TRY(const std::optional<Bytes> leaf,
                 verify_trie_proof(storage_root, kernels::keccak256(slot.view()), nodes));
    if (!leaf) { return U256{}; }
    rlp::Reader reader(*leaf);
    MILLRACE_TRY(const U256 value, detail::in_context(reader.u256(), "proof: slot"));
    MILLRACE_CHECK(detail::in_context(reader.end(), "proof: slot"));
    if (value.is_zero()) { return bad("a slot holds zero, which tries never store"); }
    return value;
}

Result<void> verify_proof(const Hash256& state_root, const Proof& proof) {
    MILLRACE_TRY(const std::optional<AccountState> proven,
                 verify_account_proof(state_root, proof.address, proof.account_nodes));
    const AccountState absent{0, {}, empty_trie_root, empty_code_hash};
    if (proven.has_value() != proof.exists || proven.value_or(absent) != proof.account) {
        return bad("the account is not what its nodes prove");
    }
    for (const StorageProof& slot : proof.storage) {
        MILLRACE_TRY(const U256 value,
                     verify_storage_proof(proof.account.storage_root, slot.key, slot.nodes));
        if (value != slot.value) { return bad("a slot is not what its nodes prove"); }
    }
    return {};
}

}  // namespace millrace::evm
