// SPDX-License-Identifier: Apache-2.0
// Owns a second implementation of the EVM, written to be obviously right and nothing else.
#pragma once

#include <gmpxx.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "evm/core/message.hpp"
#include "evm/core/precompile_set.hpp"
#include "evm/core/revision.hpp"
#include "evm/tx/receipt.hpp"
#include "evm/tx/transaction.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::differential {

/// Every number of the naive implementation: words, gas, nonces, sizes.
using Word = mpz_class;

// The edge to the node's types; nothing else of U256 is used here.
Word to_word(const U256& v);
U256 to_u256(const Word& v);

struct NaiveAccount {
    Word nonce;
    Word balance;
    Bytes code;
    std::map<Word, Word> storage;  ///< without zeros

    bool is_empty() const { return nonce == 0 && balance == 0 && code.empty(); }
};

/// Everything that a revert undoes. A snapshot is a copy, a revert an assignment.
struct NaiveState {
    std::map<Address, NaiveAccount> accounts;  ///< an account exists when it is here
    std::map<std::pair<Address, Word>, Word> transient;
    std::set<Address> warm_accounts;
    std::set<std::pair<Address, Word>> warm_slots;
    std::set<Address> created;
    std::set<Address> destroyed;
    std::vector<Log> logs;
    Word refund;
};

/// A fault that the naive implementation makes on purpose, to show that the comparison finds it.
enum class Fault : uint8_t {
    none,
    call_gas_rounding,        ///< 63/64 rounded the other way
    stipend,                  ///< 2299 instead of 2300
    clear_refund,             ///< one unit too much
    sstore_sentry,            ///< fails below 2300 but not at it
    cold_slot_kept,           ///< a slot stays warm when the frame reverts
    transient_kept,           ///< transient storage survives a revert
    log_kept,                 ///< logs survive a revert
    touch_kept,               ///< an account that a reverted call touched exists
    exponent_gas,             ///< counts bits in place of bytes
    memory_divisor,           ///< 513 instead of 512
    memory_size_bytes,        ///< MSIZE is not rounded up to words
    copy_gas_floor,           ///< partial words are free
    jump_into_push_data,      ///< a JUMPDEST inside push data is accepted
    return_data_bound,        ///< RETURNDATACOPY may read one byte too much
    return_data_kept,         ///< a failed creation leaves the old return data
    signed_division_minimum,  ///< -2^255 / -1 saturates
    signed_remainder_sign,    ///< SMOD takes the divisor's sign
    sign_extend_limit,        ///< SIGNEXTEND 31 clears the word
    add_mod_wraps,            ///< ADDMOD reduces the sum modulo 2^256 first
    shift_limit,              ///< SAR by 256 or more gives zero for negative numbers
    leading_zeros,            ///< CLZ of zero is 255
    stack_limit,              ///< 1025 items
    underflow_after_gas,      ///< gas is checked before the stack
    create_nonce,             ///< a collision does not use up the creator's nonce
    code_prefix,              ///< EIP-3541 is forgotten
    delegation_gas,           ///< the delegate is always warm
    destroy_existing,         ///< SELFDESTRUCT removes contracts of earlier transactions
    access_list_gas,          ///< a key costs 1901
    floor_gas,                ///< EIP-7623 is forgotten
    refund_quotient,          ///< a quarter in place of a fifth, a half
    call_price,               ///< a traced call does not show the gas that it hands on
    creation_price,           ///< a traced creation shows it
    last,
};
std::string_view to_string(Fault fault);

/// What a frame sees besides the state.
struct NaiveContext {
    Revision revision = latest_revision;
    uint64_t chain_id = 1;
    const PrecompileSet* precompiles = nullptr;
    BlockEnvironment block;
    std::map<uint64_t, Hash256> block_hashes;
    Address origin;
    Word gas_price;
    std::vector<Hash256> blob_hashes;
    Fault fault = Fault::none;
};

struct NaiveMessage {
    CallKind kind = CallKind::call;
    bool is_static = false;
    bool delegated = false;
    int depth = 0;
    Word gas;
    Address recipient;
    Address sender;
    Address code_address;
    Word value;
    Bytes input;
};

struct NaiveResult {
    Status status = Status::success;
    Word gas_left;
    Bytes output;
};

/// One instruction about to run; valid during the call.
struct NaiveStep {
    int depth = 0;
    size_t pc = 0;
    uint8_t opcode = 0;
    const Word& gas;
    const std::vector<Word>& stack;
    size_t memory_size = 0;
    const Word& refund;
};

/// Runs messages over a state, as the yellow paper and the EIPs say. Where several errors hold at
/// once the first of these is reported: undefined instruction, stack underflow, stack overflow, the
/// instruction's fixed gas, static mode (before any gas for SSTORE, CALL with value and
/// SELFDESTRUCT), then the rest in the order of its text.
class NaiveEvm {
public:
    /// `state` is as the transaction finds it, as far as storage is concerned.
    NaiveEvm(NaiveState& state, const NaiveContext& context)
        : state_(state), context_(context), original_(state.accounts) {}

    /// For creations the caller has bumped the sender's nonce and computed the recipient.
    NaiveResult run(const NaiveMessage& message);

    /// Called before every instruction when set.
    std::function<void(const NaiveStep&)> on_step;
    /// Called once for every instruction when set, with what it was charged, or asked for when it
    /// failed: before the first instruction of a frame that it runs. What a creation hands to its
    /// init code is none of it.
    std::function<void(const Word& cost)> on_cost;

    NaiveState& state() { return state_; }
    /// Accounts before the transaction, for SSTORE's original value.
    const std::map<Address, NaiveAccount>& original() const { return original_; }
    const NaiveContext& context() const { return context_; }
    bool at_least(Revision r) const { return context_.revision >= r; }
    bool has_fault(Fault f) const { return context_.fault == f; }
    bool is_precompile(const Address& a) const {
        return context_.precompiles->contains(a, context_.revision);
    }
    /// Marks an account warm; true when it was cold.
    bool warm(const Address& a);

private:
    NaiveResult run_call(const NaiveMessage& message);
    NaiveResult run_create(const NaiveMessage& message);
    NaiveResult run_code(const NaiveMessage& message, const Bytes& code);
    void transfer(const Address& from, const Address& to, const Word& value);
    void revert_to(const NaiveState& snapshot);

    NaiveState& state_;
    const NaiveContext& context_;
    const std::map<Address, NaiveAccount> original_;
};

/// keccak(rlp([sender, nonce])) and EIP-1014, low 20 bytes.
Address naive_create_address(const Address& sender, const Word& nonce);
Address naive_create2_address(const Address& sender, const Word& salt, const Bytes& init_code);
/// The target of 0xef0100 || address, if `code` is that.
const Address* naive_delegation(const Bytes& code, Address& target);

struct NaiveTransactionResult {
    bool valid = false;
    Status status = Status::success;
    Word gas_used;
    Word gas_refunded;
    Bytes output;
    std::vector<Log> logs;
};

/// Validates, runs and settles a transaction; `state` is as it was when it is not valid. Types that
/// the fork does not know are the caller's matter.
NaiveTransactionResult naive_transaction(const Transaction& tx, const Address& sender,
                                         const std::vector<std::optional<Address>>& authorities,
                                         NaiveState& state, NaiveContext context,
                                         std::function<void(const NaiveStep&)> on_step = {},
                                         std::function<void(const Word&)> on_cost = {});

/// What happens to accounts after the last frame of a transaction.
void naive_finish(NaiveState& state, Revision revision);

}  // namespace millrace::evm::differential
