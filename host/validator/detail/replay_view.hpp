// SPDX-License-Identifier: Apache-2.0
// Owns the state as a transaction of a replay sees it, and the comparison of its writes.
#pragma once

#include <vector>

#include "evm/core/state_view.hpp"
#include "host/validator/detail/run.hpp"

namespace millrace::validator::detail {

/// The state before one transaction: the state before the mini-block with the changes of the
/// transactions before, claimed or computed. The first question that the access list has no answer
/// to is the transaction's fault; from then on answers are arbitrary. One thread.
class ReplayView final : public evm::StateView {
public:
    explicit ReplayView(Run& run) : run_(run) {}
    void begin(uint32_t transaction) noexcept;

    bool account_exists(const Address& address) override;
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override;
    Hash256 code_hash(const Address& address) override;
    evm::CodePtr code(const Hash256& hash) override;
    U256 storage(const Address& address, const U256& key) override;
    bool has_storage(const Address& address) override;
    Hash256 block_hash(uint64_t number) override;

    /// Compares what the transaction changed with what it is said to change, and keeps it.
    void check_writes(const evm::StateChanges& changes);
    /// Puts the record in the form that other transactions look at.
    void close_record();
    bool at_fault() const noexcept { return record_->fault.has_value(); }
    /// An answer about code was made up, so what was analysed under its hash is worthless.
    bool made_up_code() const noexcept { return made_up_code_; }

private:
    friend struct WriteComparison;
    using Field = CellName::Field;
    static constexpr uint32_t none = Claims::none;

    void refuse(ReplayError error, const CellName& cell, std::string detail = {});
    uint32_t account_of(const Address& address) noexcept;
    /// Whether the access list has this cell; marks a read that it names.
    bool is_declared(uint32_t account, bool changed, uint8_t bit, const Address& address,
                     Field field);
    /// Whether what `writer` wrote may be read; it is a dependency then.
    bool may_read(uint32_t writer, const Address& address, Field field, const U256& slot = {});
    /// The balance after the first `before` changes; nothing, and who is `missing`, when the
    /// transaction is not said to depend on all who made them.
    std::optional<U256> balance_after(uint32_t account, uint32_t before, uint32_t& missing) const;
    void refuse_missing_write();

    Run& run_;
    uint32_t self_ = 0;
    Record* record_ = nullptr;
    bool made_up_code_ = false;
    Address last_address_;
    uint32_t last_account_ = none;
    /// Code whose hash came out of the access list.
    std::vector<std::pair<Hash256, evm::CodePtr>> listed_code_;
    /// Changes that the transaction made, by their places in the access list.
    std::vector<const void*> made_;
};

}  // namespace millrace::validator::detail
