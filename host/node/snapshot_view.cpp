// SPDX-License-Identifier: Apache-2.0
// Owns reading accounts of a snapshot for the EVM.
#include "host/node/snapshot_view.hpp"

#include "evm/tx/block.hpp"

namespace millrace::node {

const std::optional<storage::Account>& SnapshotView::account(const Address& address) {
    if (!cached_ || cached_address_ != address) {
        cached_account_ = snapshot_->account(address);
        cached_address_ = address;
        cached_ = true;
    }
    return cached_account_;
}

uint64_t SnapshotView::nonce(const Address& address) {
    const auto& a = account(address);
    return a ? a->nonce : 0;
}

U256 SnapshotView::balance(const Address& address) {
    const auto& a = account(address);
    return a ? a->balance : U256{};
}

Hash256 SnapshotView::code_hash(const Address& address) {
    const auto& a = account(address);
    return a ? a->code_hash : evm::empty_code_hash;
}

evm::CodePtr SnapshotView::code(const Hash256& hash) {
    static const evm::CodePtr none = std::make_shared<const Bytes>();
    const evm::CodePtr code = hash == evm::empty_code_hash ? nullptr : snapshot_->code(hash);
    return code == nullptr ? none : code;
}

}  // namespace millrace::node
