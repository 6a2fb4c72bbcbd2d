// SPDX-License-Identifier: Apache-2.0
// Owns the translation from the sequencer's blocks and transactions to what net shows of them.
#pragma once

#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/sequencer.hpp"
#include "net/node_api.hpp"

namespace millrace::node {

net::TransactionData to_net(const sequencer::LocatedTransaction& t);
net::TransactionData pending_to_net(const sequencer::AdmittedPtr& t);
net::ReceiptData receipt_to_net(const sequencer::LocatedTransaction& t);
net::BlockData to_net(const sequencer::SealedBlock& block);
net::BlockData to_net(const sequencer::OpenBlockView& open);
std::vector<net::LogData> logs_to_net(const sequencer::LocatedTransaction& t, bool removed);
std::shared_ptr<const net::MiniBlockEvent> to_event(const sequencer::MiniBlock& m);
std::shared_ptr<const net::HeadEvent> to_event(const sequencer::SealedBlock& b);
std::unexpected<net::ApiError> to_api_error(const sequencer::Refusal& refusal);
net::ApiError to_api_error(const Error& error);

/// Transaction i of a sealed block, with its place.
sequencer::LocatedTransaction locate(const sequencer::SealedBlock& block, size_t i);
sequencer::LocatedTransaction locate(const sequencer::OpenBlock& open,
                                     const sequencer::ExecutedPtr& t);

}  // namespace millrace::node
