// SPDX-License-Identifier: Apache-2.0
// Owns the computation of roots beside the log.
#include "host/sequencer/ledger/sealer.hpp"

#include <chrono>

#include "host/base/clock.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/executor/block_builder.hpp"

namespace millrace::sequencer {
namespace {

constexpr int64_t wait_forever_us = int64_t{1} << 60;

}  // namespace

FinishedPtr finish_block(ClosedBlock block, const Hash256& state_root, evm::HashBatch& hash) {
    auto stored = std::make_shared<storage::StoredBlock>();
    const std::vector<ByteView> receipts = store_transactions(block.transactions, *stored);
    auto sealed = std::make_shared<SealedBlock>();
    sealed->header = make_header(block, state_root, receipts, hash);
    sealed->hash = evm::header_hash(sealed->header);
    sealed->transactions = std::move(block.transactions);
    sealed->mini_block_ends = std::move(block.mini_block_ends);
    sealed->first_mini_block_number = block.first_mini_block_number;
    auto finished = std::make_shared<FinishedBlock>();
    store_header(*sealed, *stored);
    finished->stored = std::move(stored);
    finished->block = std::move(sealed);
    return finished;
}

Sealer::Sealer(std::unique_ptr<storage::StateCommitment> commitment, evm::HashBatch& hash,
               Options options)
    : commitment_(std::move(commitment)),
      hash_(hash),
      options_(std::move(options)),
      inbox_(capacity),
      thread_([this] { run(); }) {}

Sealer::~Sealer() {
    stopping_.store(true, std::memory_order_release);
    inbox_.wake();
}

void Sealer::push(Message message) {
    while (!inbox_.try_push(std::move(message))) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

void Sealer::apply(std::shared_ptr<const storage::StateDelta> delta) { push(std::move(delta)); }

void Sealer::close(ClosedBlock block, FinishedDone done) {
    push(Close{std::move(block), std::move(done)});
}

void Sealer::settle() {
    std::promise<void> reached;
    std::future<void> future = reached.get_future();
    push(std::move(reached));
    future.wait();
}

void Sealer::run() {
    set_thread_name("mr-root");
    const SystemClock clock;
    while (!stopping_.load(std::memory_order_acquire)) {
        auto message = inbox_.pop_wait_until(wait_forever_us);
        if (!message) { continue; }
        if (const auto* delta =
                std::get_if<std::shared_ptr<const storage::StateDelta>>(&*message)) {
            storage::apply_delta(*commitment_, **delta);
            continue;
        }
        if (auto* reached = std::get_if<std::promise<void>>(&*message)) {
            reached->set_value();
            continue;
        }
        Close& c = std::get<Close>(*message);
        if (options_.before_root) { options_.before_root(); }
        const int64_t start = clock.steady_us();
        const Hash256 root = commitment_->root();
        if (options_.root_seconds != nullptr) {
            options_.root_seconds->observe_us(static_cast<uint64_t>(clock.steady_us() - start));
        }
        c.done(finish_block(std::move(c.block), root, hash_));
    }
}

}  // namespace millrace::sequencer
