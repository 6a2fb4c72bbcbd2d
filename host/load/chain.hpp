// SPDX-License-Identifier: Apache-2.0
// Owns the chain that a run needs: funded accounts, deployed contracts, and the check afterwards.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/load/account.hpp"
#include "host/load/profile.hpp"
#include "host/load/rpc_client.hpp"

namespace millrace::load {

struct ChainOptions {
    Hash256 funding_key;
    Shape shape;
    uint32_t sender_count = 0;
    std::string artifacts;  ///< folder; only read when the profile calls contracts
    /// 0: eight times the base fee at the start, at least 2 gwei, plus both tips.
    uint64_t max_fee_gwei = 0;
    uint64_t tip_gwei = 1;
    uint64_t priority_tip_gwei = 10;
};

/// How many transactions of each sender a run had in blocks.
using IncludedCounts = std::vector<uint64_t>;

/// One word for each thing that was compared with the chain after a run.
struct Verification {
    uint64_t nonces =
        0;  ///< accounts whose nonce is what they started with plus their included ones
    uint64_t balances = 0;  ///< accounts that received exactly what the included transfers sent
    uint64_t receipts = 0;  ///< receipts that say "succeeded", of a sample spread over the run
    std::vector<std::string> faults;  ///< what was different; empty when all is right
};

class Chain {
public:
    using Say = std::function<void(const std::string&)>;

    /// Asks the node who it is. `say` gets lines of progress.
    static Result<Chain> open(RpcClient& client, ChainOptions options, Say say);

    /// Deploys what the profile calls (anew at each call) and gives the senders their tokens and
    /// approvals. Every transaction must succeed.
    Result<void> deploy();
    /// Sees that each sender can pay for `transactions` transactions, and reads where nonces and
    /// balances start.
    Result<void> fund(uint64_t transactions_per_sender);
    /// Compares the chain with what the run counted. `included` has the hashes of a sample.
    Result<Verification> verify(const IncludedCounts& included_counts,
                                const std::function<bool(uint32_t sender, uint64_t nth)>& included,
                                const std::vector<Hash256>& sample);

    uint64_t chain_id() const noexcept { return chain_id_; }
    const std::string& client_version() const noexcept { return client_version_; }
    const std::vector<Account>& senders() const noexcept { return senders_; }
    /// Of each sender, when the run starts.
    const std::vector<uint64_t>& first_nonces() const noexcept { return first_nonces_; }
    const std::vector<Address>& recipients() const noexcept { return recipients_; }
    const Contracts& contracts() const noexcept { return contracts_; }
    const Shape& shape() const noexcept { return options_.shape; }
    /// Fills chain id, nonce and fees.
    void dress(evm::Transaction& tx, uint64_t nonce, bool priority) const;

private:
    Chain(RpcClient& client, ChainOptions options, Say say)
        : client_(&client), options_(std::move(options)), say_(std::move(say)) {}

    struct Unsigned {
        const Account* from;
        uint64_t nonce;
        evm::Transaction tx;
    };
    Result<void> read_fees();
    Result<U256> balance(const Address& address);
    Result<uint64_t> nonce(const Address& address);
    /// Adds a transaction of the funding account.
    void add(std::vector<Unsigned>& to, std::optional<Address> target, Bytes data, U256 value,
             uint64_t gas_limit);
    /// Signs, sends in order and waits until all have succeeded.
    Result<void> send(const std::vector<Unsigned>& transactions, const std::string& what);
    Result<void> wait_for_receipts(const std::vector<Hash256>& hashes, const std::string& what);
    Result<void> deploy_exchange(const Artifacts& artifacts);
    Result<std::vector<U256>> token_balances(const Address& token,
                                             const std::vector<Address>& holders);
    Result<std::vector<U256>> ether_balances(const std::vector<Address>& holders);
    Result<void> verify_pairs(Verification& out);

    RpcClient* client_;
    ChainOptions options_;
    Say say_;
    uint64_t chain_id_ = 0;
    std::string client_version_;
    Account funder_;
    uint64_t funder_nonce_ = 0;
    U256 max_fee_;
    std::vector<Account> senders_;
    std::vector<Address> recipients_;
    std::vector<uint64_t> first_nonces_;
    std::vector<U256> recipient_ether_;
    std::vector<U256> recipient_tokens_;
    Contracts contracts_;
};

}  // namespace millrace::load
