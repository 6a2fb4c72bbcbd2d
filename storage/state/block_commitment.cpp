// SPDX-License-Identifier: Apache-2.0
// Owns blocks over commitments in memory.
#include "storage/state/block_commitment.hpp"

namespace millrace::storage {
namespace {

class VolatileCommitment final : public BlockCommitment {
public:
    explicit VolatileCommitment(std::unique_ptr<StateCommitment> state)
        : state_(std::move(state)) {}

    Result<void> apply(const StateDelta& delta) override {
        apply_delta(*state_, delta);
        return {};
    }
    Result<Hash256> close(uint64_t, const StateSnapshot&) override { return state_->root(); }
    Result<void> commit() override { return {}; }
    Result<void> roll_back(uint64_t, const StateDelta& delta) override {
        apply_delta(*state_, delta);
        return {};
    }
    bool durable() const noexcept override { return false; }
    std::optional<CommittedBlock> committed() const noexcept override { return std::nullopt; }
    uint64_t oldest_block() const noexcept override { return 0; }
    Result<CommittedStatesPtr> states() override {
        return fail(ErrorCode::unavailable, "this commitment has the newest state only");
    }
    Result<void> prune() override { return {}; }

private:
    std::unique_ptr<StateCommitment> state_;
};

}  // namespace

std::unique_ptr<BlockCommitment> make_volatile_commitment(std::unique_ptr<StateCommitment> state) {
    return std::make_unique<VolatileCommitment>(std::move(state));
}

}  // namespace millrace::storage
