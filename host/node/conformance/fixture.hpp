// SPDX-License-Identifier: Apache-2.0
// Owns what fixtures of every kind share: accounts, headers, state roots, sender recovery.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evm/core/block_transition.hpp"
#include "evm/core/overlay.hpp"
#include "evm/trie/state_trie.hpp"
#include "evm/tx/receipt.hpp"
#include "evm/tx/transaction.hpp"
#include "host/node/json.hpp"

namespace millrace::node {

/// A chain without accounts, to put a state on. The hash of its block n is the keccak of n's
/// decimal digits, as the fixtures and geth's `evm` have it. Holds nothing, so any thread may use
/// it.
evm::StateView& test_chain();

/// The member `key` of the object named `where`; fails when it is missing.
Result<const boost::json::value*> member(const boost::json::value& object, std::string_view key,
                                         std::string_view where);

/// Reads {"0xaddress": {nonce, balance, code, storage}} into `state`; errors name `where`.
Result<void> load_accounts(const boost::json::value& accounts, evm::StateOverlay& state,
                           std::string_view where = "pre");
/// Reads a header in the fixtures' spelling or in that of eth_getBlock.
Result<evm::BlockHeader> read_header(const boost::json::value& header, std::string_view where);

/// The Merkle Patricia trie of a state that lives in a StateOverlay without base.
class TrieCommitment final : public evm::StateCommitment {
public:
    /// Forgets everything and takes over `state`.
    void reset(const evm::StateOverlay& state);
    /// Takes over the changes of `state`, an overlay over what was taken before.
    Hash256 root(evm::StateOverlay& state) override;
    Hash256 root() { return trie_.root(); }
    /// Whether root(state) was called since the last reset or settle.
    bool touched() const noexcept { return touched_; }
    void settle() noexcept { touched_ = false; }

private:
    evm::StateTrie trie_;
    bool touched_ = false;
};

/// Root of the secure MPT over everything in an overlay without base.
Hash256 state_root_of(const evm::StateOverlay& state);
/// Compares every account of `state`, an overlay without base, with the fixture's; nothing when
/// they are equal, else the first difference.
Result<std::string> compare_accounts(const boost::json::value& expected,
                                     const evm::StateOverlay& state);
/// Keccak of the RLP of a list of logs, as state tests give it.
Hash256 logs_hash(const std::vector<evm::Log>& logs);
/// Sender of a signed transaction; nothing when the signature is invalid. `low_s` asks for EIP-2.
std::optional<Address> recover_sender(const evm::Transaction& tx, bool low_s = true);
/// Signers of the EIP-7702 authorizations, each or nothing.
std::vector<std::optional<Address>> recover_authorities(const evm::Transaction& tx);
/// Both, for each transaction of a block.
std::vector<evm::RecoveredSigners> recover_signers(const evm::Block& block, bool low_s);

}  // namespace millrace::node
