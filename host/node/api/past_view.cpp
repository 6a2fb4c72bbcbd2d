// SPDX-License-Identifier: Apache-2.0
// Owns the reads of an old state, and what becomes of their errors.
#include "host/node/api/past_view.hpp"

#include "evm/tx/block.hpp"

namespace millrace::node {

void PastView::fail_with(Error error) {
    if (!failed_) { failed_ = std::move(error); }
}

std::optional<Bytes> PastView::value(const Hash256& key) {
    if (failed_) { return std::nullopt; }
    auto value = source_.states->value(key, source_.block, source_.budget);
    if (!value) {
        fail_with(std::move(value).error());
        return std::nullopt;
    }
    return *std::move(value);
}

const std::optional<storage::AccountLeaf>& PastView::account(const Address& address) {
    if (cached_ && cached_address_ == address) { return cached_account_; }
    cached_ = true;
    cached_address_ = address;
    cached_account_.reset();
    if (const auto leaf = value(storage::account_key(address))) {
        if (auto decoded = storage::decode_account_leaf(*leaf)) {
            cached_account_ = *std::move(decoded);
        } else {
            fail_with({ErrorCode::corrupt, decoded.error().message});
        }
    }
    return cached_account_;
}

uint64_t PastView::nonce(const Address& address) {
    const auto& a = account(address);
    return a ? a->nonce : 0;
}

U256 PastView::balance(const Address& address) {
    const auto& a = account(address);
    return a ? a->balance : U256{};
}

Hash256 PastView::code_hash(const Address& address) {
    const auto& a = account(address);
    return a ? a->code_hash : evm::empty_code_hash;
}

evm::CodePtr PastView::code(const Hash256& hash) {
    static const evm::CodePtr none = std::make_shared<const Bytes>();
    if (hash == evm::empty_code_hash) { return none; }
    const evm::CodePtr code = source_.newest->code(hash);
    if (code != nullptr) { return code; }
    fail_with({ErrorCode::unavailable, "the code of an account after block " +
                                           std::to_string(source_.block) + " is not known"});
    return none;
}

U256 PastView::storage(const Address& address, const U256& key) {
    const auto leaf = value(storage::slot_key(address, key));
    if (!leaf) { return {}; }
    const auto decoded = storage::decode_slot_leaf(*leaf);
    if (decoded) { return *decoded; }
    fail_with({ErrorCode::corrupt, decoded.error().message});
    return {};
}

bool PastView::has_storage(const Address& address) {
    const auto bare = [](uint64_t nonce, const Hash256& code_hash) {
        return nonce == 0 && code_hash == evm::empty_code_hash;
    };
    const auto& then = account(address);
    if (!then || !bare(then->nonce, then->code_hash)) { return false; }
    const auto now = source_.newest->account(address);
    return now && bare(now->nonce, now->code_hash) && source_.newest->has_storage(address);
}

}  // namespace millrace::node
