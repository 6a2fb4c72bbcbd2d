// SPDX-License-Identifier: Apache-2.0
// Owns what the fixtures call a network: a fork, or the way from one fork to the next.
#pragma once

#include <optional>
#include <string>

#include <boost/json/value.hpp>

#include "evm/core/chain_spec.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

struct Network {
    evm::ChainSpec spec;
    /// "LondonToParisAtDiffC0000": proof of stake begins after the block whose total difficulty
    /// reaches this; `spec` does not know of it.
    std::optional<U256> terminal_total_difficulty;
    evm::Revision after_terminal = evm::Revision::paris;

    evm::Rules rules_at(uint64_t number, uint64_t timestamp_s,
                        const U256& parent_total_difficulty) const noexcept;
};

/// Reads names such as "Osaka", "BerlinToLondonAt5" and "OsakaToBPO1AtTime15k", and the fixture's
/// `config` (chain id and blob schedules; null when there is none).
Result<Network> read_network(const std::string& name, const boost::json::value* config);
/// The blob schedule of `fork` in `config`, else the fork's own.
Result<evm::BlobSchedule> read_blob_schedule(const std::string& fork,
                                             const boost::json::value* config);
/// `config.chainid`, 1 when it is not given.
Result<uint64_t> read_chain_id(const boost::json::value* config);

}  // namespace millrace::node
